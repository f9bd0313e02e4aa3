//! A feature's use over time as inline SVG: no script, no outside asset, colors by the page's style.

use std::fmt::Write as _;

use usher_protocol::time::WallMs;

use super::{FeatureFigures, html::escaped};

/// Bars for the most seats in a slice, a line for the mean, marks where requests were denied, and the licensed seats.
pub(crate) fn chart(feature: &FeatureFigures, local: fn(WallMs) -> String) -> String {
    let slices = &feature.slices;
    let figures = &feature.figures;
    let top = slices
        .iter()
        .map(|it| it.peak)
        .chain(figures.seats)
        .max()
        .unwrap_or(0)
        .max(1);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
        escaped(&words(feature))
    );
    grid(&mut svg, top);
    let step = PLOT_WIDTH / number(slices.len().max(1));
    let mut line = String::new();
    for (index, slice) in slices.iter().enumerate() {
        let x = LEFT + step * number(index);
        if slice.peak > 0 {
            let y = height_of(f64::from(slice.peak), top);
            let height = BOTTOM - y;
            let _ = write!(
                svg,
                "<rect class=\"peak\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height:.1}\"/>",
                (step - 0.5).max(0.5)
            );
        }
        if slice.denied > 0 {
            let _ = write!(
                svg,
                "<rect class=\"denied\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"6\"><title>{} denied</title></rect>",
                BOTTOM + 2.0,
                (step - 0.5).max(1.5),
                slice.denied
            );
        }
        let _ = write!(
            line,
            "{:.1},{:.1} ",
            x + step / 2.0,
            height_of(slice.mean, top)
        );
    }
    let _ = write!(
        svg,
        "<polyline class=\"mean\" points=\"{}\"/>",
        line.trim_end()
    );
    level(&mut svg, "seats", figures.seats, top);
    dates(&mut svg, feature, local);
    svg + "</svg>"
}

/// What somebody hears who does not see it.
fn words(feature: &FeatureFigures) -> String {
    let figures = &feature.figures;
    format!(
        "{}: at most {} seats in use, {:.1} on average, {} requests denied",
        figures.name,
        figures.peak,
        figures.mean,
        figures.denied + figures.gave_up
    )
}

fn grid(svg: &mut String, top: u32) {
    let half = top / 2;
    let marks = [Some(0), (half > 0).then_some(half), Some(top)];
    for mark in marks.into_iter().flatten() {
        let y = height_of(f64::from(mark), top);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text class=\"number\" x=\"{}\" y=\"{:.1}\">{mark}</text>",
            LEFT - 6.0,
            y + 4.0
        );
    }
}

fn level(svg: &mut String, class: &str, seats: Option<u32>, top: u32) {
    if let Some(seats) = seats.filter(|seats| *seats <= top) {
        let y = height_of(f64::from(seats), top);
        let _ = write!(
            svg,
            "<line class=\"{class}\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"
        );
    }
}

/// First, middle and last, so that they never stand upon each other.
fn dates(svg: &mut String, feature: &FeatureFigures, local: fn(WallMs) -> String) {
    let slices = &feature.slices;
    let places = [
        (slices.first(), LEFT, "start"),
        (
            slices.get(slices.len() / 2),
            LEFT + PLOT_WIDTH / 2.0,
            "middle",
        ),
        (slices.last(), RIGHT, "end"),
    ];
    for (slice, x, anchor) in places {
        let Some(slice) = slice else { continue };
        let local = local(slice.at.0);
        let minute = local.get(..16).unwrap_or(&local).replace('T', " ");
        let _ = write!(
            svg,
            "<text x=\"{x}\" y=\"{}\" text-anchor=\"{anchor}\">{minute}</text>",
            HEIGHT - 4.0
        );
    }
}

fn height_of(seats: f64, top: u32) -> f64 {
    BOTTOM - (BOTTOM - TOP) * seats / f64::from(top)
}

fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 44.0;
const RIGHT: f64 = 752.0;
const PLOT_WIDTH: f64 = RIGHT - LEFT;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 168.0;
