//! Memory over the number of connected workstations, beside a bare quinn server's.

use std::fmt::Write as _;

use crate::document::picture;
use crate::figures::{grouped, short};
use crate::ground::{Floor, Site};
use crate::memory::settled_kib;
use crate::svg::{Axis, Chart, Line, Scale};

/// 0 to 10 000, each holding a seat: a workstation without one makes room for others past 3 072.
#[expect(clippy::cast_precision_loss, reason = "thousands")]
pub(super) fn text() -> String {
    let site = Site::of_usual_length(100_000);
    let floor = Floor::start(site.sizes());
    let mut text = "| workstations | usherd, MiB | floor, MiB | usherd, KiB each | floor, KiB each |\n|---:|---:|---:|---:|---:|\n".to_owned();
    let (mut held, mut last) = (Vec::new(), 0);
    let mut lines = [Line::new("usherd", []), Line::new("floor", [])];
    for count in COUNTS {
        eprintln!("  {count} workstations");
        if count > last {
            held.push((site.hold_more(count - last, last), floor.hold(count - last)));
            last = count;
        }
        let kib = [settled_kib(site.pid()), settled_kib(floor.pid())];
        for (line, kib) in lines.iter_mut().zip(kib) {
            line.points.push((count as f64, kib / 1024.0));
        }
        let each = lines.each_ref().map(|line| match count {
            0 => "–".to_owned(),
            _ => short(
                (line.points[line.points.len() - 1].1 - line.points[0].1) * 1024.0 / count as f64,
            ),
        });
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            grouped(count as f64),
            short(kib[0] / 1024.0),
            short(kib[1] / 1024.0),
            each.join(" | ")
        );
    }
    let chart = Chart {
        title: "Memory over connected workstations".to_owned(),
        x: Axis {
            label: "workstations, each holding a seat",
            scale: Scale::Linear,
        },
        y: Axis {
            label: "MiB resident",
            scale: Scale::Linear,
        },
        lines: lines.into(),
    };
    text.push('\n');
    text + &picture("memory", &chart)
}

const COUNTS: [usize; 7] = [0, 500, 1_000, 2_500, 5_000, 7_500, 10_000];
