//! Draws a curve as SVG text that reads on a light and on a dark page. Decides scales, ticks and colors; must not know
//! what is drawn.

use std::fmt::Write as _;

use crate::figures::grouped;

/// Lines over one pair of axes.
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) lines: Vec<Line>,
}

/// What an axis counts.
pub(crate) struct Axis {
    pub(crate) label: &'static str,
    pub(crate) scale: Scale,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// From zero.
    Linear,
    /// By powers of two.
    Log2,
    /// By powers of ten.
    Log10,
}

/// One line and its points, in order of x.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

impl Line {
    pub(crate) fn new(name: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self {
            name: name.to_owned(),
            points: points.into_iter().collect(),
        }
    }
}

impl Chart {
    /// The picture.
    pub(crate) fn svg(&self) -> String {
        let all = || self.lines.iter().flat_map(|line| &line.points);
        let x = Span::over(self.x.scale, all().map(|it| it.0));
        let y = Span::over(self.y.scale, all().map(|it| it.1));
        let place = |(at, value): (f64, f64)| {
            let right = LEFT + x.share(at) * PLOT_WIDTH;
            let down = TOP + (1.0 - y.share(value)) * PLOT_HEIGHT;
            (right, down)
        };
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>\n<rect class=\"page\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n",
            self.title
        );
        let _ = writeln!(
            svg,
            "<text class=\"title\" x=\"{LEFT}\" y=\"24\">{}</text>",
            self.title
        );
        self.axes(&mut svg, &x, &y);
        for (index, line) in self.lines.iter().enumerate() {
            let points: Vec<_> = line.points.iter().copied().map(place).collect();
            draw(&mut svg, index, &line.name, &points);
        }
        svg + "</svg>\n"
    }

    fn axes(&self, svg: &mut String, x: &Span, y: &Span) {
        let (bottom, end) = (TOP + PLOT_HEIGHT, LEFT + PLOT_WIDTH);
        for tick in x.ticks() {
            let at = LEFT + x.share(tick) * PLOT_WIDTH;
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{at:.1} {TOP}V{bottom}\"/><text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                bottom + 18.0,
                label(tick)
            );
        }
        for tick in y.ticks() {
            let at = TOP + (1.0 - y.share(tick)) * PLOT_HEIGHT;
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{end}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                at + 4.0,
                label(tick)
            );
        }
        let middle = LEFT + PLOT_WIDTH / 2.0;
        let _ = writeln!(
            svg,
            "<text x=\"{middle}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n<text x=\"{LEFT}\" y=\"44\">{}</text>",
            bottom + 38.0,
            self.x.label,
            self.y.label
        );
    }
}

fn draw(svg: &mut String, index: usize, name: &str, points: &[(f64, f64)]) {
    let color = index % COLORS;
    let path: Vec<String> = points
        .iter()
        .map(|(x, y)| format!("{x:.1} {y:.1}"))
        .collect();
    let _ = writeln!(
        svg,
        "<path class=\"line c{color}\" d=\"M{}\"/>",
        path.join("L")
    );
    if points.len() <= MARKED_MAX {
        for (x, y) in points {
            let _ = writeln!(
                svg,
                "<circle class=\"c{color}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"/>"
            );
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a handful of lines")]
    let y = TOP + 12.0 + index as f64 * 18.0;
    let x = LEFT + PLOT_WIDTH + 16.0;
    let _ = writeln!(
        svg,
        "<path class=\"line c{color}\" d=\"M{x} {y}h18\"/><text x=\"{}\" y=\"{}\">{name}</text>",
        x + 24.0,
        y + 4.0
    );
}

/// What an axis reaches over.
struct Span {
    scale: Scale,
    low: f64,
    high: f64,
}

impl Span {
    fn over(scale: Scale, values: impl Iterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.collect();
        let high = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let least = values
            .iter()
            .copied()
            .filter(|it| *it > 0.0)
            .fold(high, f64::min);
        let (low, high) = match scale {
            Scale::Linear => (0.0, step(high) * (high / step(high)).ceil()),
            Scale::Log2 => (
                2f64.powf(least.log2().floor()),
                2f64.powf(high.log2().ceil()),
            ),
            Scale::Log10 => (
                10f64.powf(least.log10().floor()),
                10f64.powf(high.log10().ceil()),
            ),
        };
        Self { scale, low, high }
    }

    /// Where a value is, 0 at the low end and 1 at the high one.
    fn share(&self, value: f64) -> f64 {
        if self.scale == Scale::Linear {
            return (value - self.low) / (self.high - self.low);
        }
        // One power is a point; what is not positive is at the low end.
        let width = (self.high / self.low).ln().max(f64::MIN_POSITIVE);
        ((value.max(self.low) / self.low).ln() / width).clamp(0.0, 1.0)
    }

    fn ticks(&self) -> Vec<f64> {
        let (mut tick, factor) = match self.scale {
            Scale::Linear => (0.0, 1.0),
            Scale::Log2 => (self.low, 2.0),
            Scale::Log10 => (self.low, 10.0),
        };
        let add = if self.scale == Scale::Linear {
            step(self.high)
        } else {
            0.0
        };
        let mut ticks = Vec::new();
        while tick <= self.high * 1.000_001 && ticks.len() < TICKS_MAX {
            ticks.push(tick);
            tick = tick * factor + add;
        }
        ticks
    }
}

/// A round distance that leaves between four and ten ticks up to `high`.
fn step(high: f64) -> f64 {
    let power = 10f64.powf((high / 5.0).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|it| it * power);
    steps
        .into_iter()
        .find(|it| high / it <= 7.0)
        .unwrap_or(power * 10.0)
}

fn label(tick: f64) -> String {
    if tick == 0.0 || tick >= 10.0 {
        return grouped(tick);
    }
    let digits = format!("{tick:.4}");
    digits
        .trim_end_matches('0')
        .trim_end_matches('.')
        .to_owned()
}

const WIDTH: f64 = 820.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 84.0;
const TOP: f64 = 60.0;
const PLOT_WIDTH: f64 = 540.0;
const PLOT_HEIGHT: f64 = 280.0;
/// More points than these are drawn as a line alone.
const MARKED_MAX: usize = 40;
const TICKS_MAX: usize = 24;
const COLORS: usize = 6;
const STYLE: &str = "text{font:12px sans-serif;fill:#222}.title{font-size:15px;font-weight:bold}.page{fill:#fff}.grid{stroke:#ddd;fill:none}.line{fill:none;stroke-width:2}circle{stroke:none!important}\
.c0{stroke:#0969da;fill:#0969da}.c1{stroke:#bf5b00;fill:#bf5b00}.c2{stroke:#1a7f37;fill:#1a7f37}.c3{stroke:#8250df;fill:#8250df}.c4{stroke:#cf222e;fill:#cf222e}.c5{stroke:#57606a;fill:#57606a}.line{fill:none}\
@media(prefers-color-scheme:dark){text{fill:#ddd}.page{fill:#0d1117}.grid{stroke:#333}.c0{stroke:#58a6ff;fill:#58a6ff}.c1{stroke:#f0883e;fill:#f0883e}.c2{stroke:#3fb950;fill:#3fb950}.c3{stroke:#bc8cff;fill:#bc8cff}.c4{stroke:#ff7b72;fill:#ff7b72}.c5{stroke:#8b949e;fill:#8b949e}.line{fill:none}}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_reaches_over_all_values_in_round_steps() {
        let span = Span::over(Scale::Linear, [3.0, 870.0].into_iter());
        assert_eq!(span.ticks(), [0.0, 200.0, 400.0, 600.0, 800.0, 1000.0]);
        assert!((span.share(500.0) - 0.5).abs() < 1e-9);
        let span = Span::over(Scale::Log10, [150.0, 1_000_000.0].into_iter());
        assert_eq!(span.ticks(), [1e2, 1e3, 1e4, 1e5, 1e6]);
        assert!((span.share(1e4) - 0.5).abs() < 1e-9);
        let span = Span::over(Scale::Log2, [1.0, 1024.0].into_iter());
        assert_eq!(span.ticks().len(), 11);
        assert!((span.share(32.0) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn nothing_falls_out_of_the_plot() {
        for scale in [Scale::Linear, Scale::Log2, Scale::Log10] {
            for values in [vec![0.0], vec![5.0], vec![0.0, 0.004], vec![1e-3, 1e9]] {
                let span = Span::over(scale, values.iter().copied());
                for value in values {
                    let share = span.share(value);
                    assert!((0.0..=1.0).contains(&share), "{scale:?} {value}: {share}");
                }
            }
        }
    }

    #[test]
    fn a_picture_is_whole_and_has_every_line() {
        let chart = Chart {
            title: "a title".to_owned(),
            x: Axis {
                label: "over",
                scale: Scale::Log2,
            },
            y: Axis {
                label: "what",
                scale: Scale::Linear,
            },
            lines: ["one", "two"]
                .map(|name| Line::new(name, [(1.0, 2.0), (4.0, 8.0)]))
                .into(),
        };
        let svg = chart.svg();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        for text in [">one<", ">two<", ">a title<", ">over<", ">what<"] {
            assert!(svg.contains(text), "{text}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn ticks_are_readable() {
        let texts = [0.0, 0.5, 2.0, 10.0, 65_536.0].map(label);
        assert_eq!(texts, ["0", "0.5", "2", "10", "65 536"]);
    }
}
