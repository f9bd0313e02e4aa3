//! What a connected workstation costs the server in memory, beside a bare quinn connection. Decides when memory is read;
//! must not judge it.

use std::thread;
use std::time::Duration;

use crate::figures::Figures;
use crate::ground::{Floor, Holding, Site};
use crate::process::resident_kib;
use crate::table::Row;

/// The rows of design 8.
pub(crate) fn rows(runs: usize) -> Vec<Row> {
    let mut site = Site::new(100_000);
    let sizes = site.sizes();
    let (mut bare, mut without, mut with) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        let floor = Floor::start(sizes);
        bare.push(each(floor.pid(), |count| floor.hold(count)));
        for (seats, figures) in [(false, &mut without), (true, &mut with)] {
            // A process that has freed memory keeps it: each figure needs a new one.
            site.restart();
            figures.push(each(site.pid(), |count| site.hold(count, seats)));
        }
    }
    let names = ["usherd", "quinn", " KiB"];
    [
        (
            "memory per idle connected workstation ÷ a bare quinn connection's",
            "≤ 1.2",
            without,
        ),
        ("the same, each holding a seat", "", with),
    ]
    .map(|(measure, aim, own)| {
        let pairs: Vec<_> = own.into_iter().zip(bare.iter().copied()).collect();
        Row::ratio(measure, aim, &pairs, names)
    })
    .into()
}

/// KiB for each of [`CONNECTIONS`], above what the first one took.
fn each(pid: u32, hold: impl Fn(usize) -> Holding) -> f64 {
    drop(hold(1));
    let before = settled_kib(pid);
    let _held = hold(CONNECTIONS);
    #[expect(clippy::cast_precision_loss, reason = "a thousand")]
    let count = CONNECTIONS as f64;
    (settled_kib(pid) - before) / count
}

/// Resident memory once a moment has passed.
#[expect(clippy::cast_precision_loss, reason = "less than a machine's memory")]
pub(crate) fn settled_kib(pid: u32) -> f64 {
    thread::sleep(SETTLE);
    let read = (0..3).map(|_| resident_kib(pid) as f64);
    Figures::of(read).median()
}

const CONNECTIONS: usize = 1000;
const SETTLE: Duration = Duration::from_millis(800);
