//! What others notice while 100 000 leases end at once, quarter second by quarter second.

use crate::document::picture;
use crate::expiry::{Ground, RATE, Stretch};
use crate::svg::{Axis, Chart, Line, Scale};

pub(super) fn text() -> String {
    let mut ground = Ground::new();
    let stretches = ground.run();
    let line = |name, of: fn(&Stretch) -> f64| {
        Line::new(name, stretches.iter().map(|it| (it.at_ms / 1000.0, of(it))))
    };
    let seconds = || Axis {
        label: "seconds after the restart",
        scale: Scale::Linear,
    };
    let latency = Chart {
        title: "Checkouts of others while 100 000 leases end".to_owned(),
        x: seconds(),
        y: Axis {
            label: "milliseconds from the moment it was due",
            scale: Scale::Log10,
        },
        lines: vec![
            line("p50", |it| it.p50_us / 1000.0),
            line("p99", |it| it.p99_us / 1000.0),
            line("longest", |it| it.max_us / 1000.0),
        ],
    };
    let seats = Chart {
        title: "Seats out meanwhile".to_owned(),
        x: seconds(),
        y: Axis {
            label: "seats",
            scale: Scale::Linear,
        },
        lines: vec![line("seats out", |it| it.seats_out)],
    };
    let words = format!(
        "Open loop, {RATE} checkouts a second over 32 connections, each followed by its release; one run.\n\n"
    );
    words + &picture("expiry-latency", &latency) + &picture("expiry-seats", &seats)
}
