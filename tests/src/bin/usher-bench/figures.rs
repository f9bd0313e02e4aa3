//! Decides how figures are summed up and printed. Must not judge them.

use hdrhistogram::Histogram;

/// The figures of several runs, put in order.
#[derive(Clone)]
pub(crate) struct Figures(Vec<f64>);

impl Figures {
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        assert!(!sorted.is_empty(), "nothing was measured");
        sorted.sort_by(f64::total_cmp);
        Self(sorted)
    }

    /// The figure below which `share` of them are, 0 the least and 1 the greatest.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in a list that fits memory"
    )]
    pub(crate) fn at(&self, share: f64) -> f64 {
        self.0[((self.0.len() - 1) as f64 * share).round() as usize]
    }

    /// The middle one.
    pub(crate) fn median(&self) -> f64 {
        self.at(0.5)
    }

    /// `min / median / max`, in columns.
    pub(crate) fn spread(&self, decimals: usize) -> String {
        let [min, median, max] = [0.0, 0.5, 1.0].map(|share| self.at(share));
        format!("{min:>8.decimals$} {median:>8.decimals$} {max:>8.decimals$}")
    }

    /// `min / median / max`, for a sentence or a table.
    pub(crate) fn told(&self) -> String {
        let figures = [0.0, 0.5, 1.0].map(|share| short(self.at(share)));
        figures.join(" / ")
    }
}

/// How long answers took: an HDR histogram, three figures exact.
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    /// Of figures in microseconds.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "nothing takes a century"
    )]
    pub(crate) fn of(us: impl IntoIterator<Item = f64>) -> Self {
        let mut histogram = Histogram::new(3).unwrap();
        for us in us {
            histogram.record((us * 1000.0) as u64).unwrap();
        }
        Self(histogram)
    }

    /// Microseconds within which `share` of the answers came; zero where there were none.
    #[expect(clippy::cast_precision_loss, reason = "nothing takes a century")]
    pub(crate) fn us_at(&self, share: f64) -> f64 {
        self.0.value_at_quantile(share) as f64 / 1000.0
    }
}

/// Three figures, as people write them: `0.84`, `12.3`, `14 376`.
pub(crate) fn short(figure: f64) -> String {
    match figure.abs() {
        it if it >= 100.0 => grouped(figure),
        it if it >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

/// `1 234 567`, rounded to a whole number.
pub(crate) fn grouped(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && !text.ends_with('-') {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one_and_the_ends_are_the_ends() {
        let figures = Figures::of([3.0, 1.0, 2.0, 50.0, 4.0]);
        let found = [0.0, 0.5, 0.99, 1.0].map(|share| figures.at(share));
        assert_eq!(found.map(|it| it.to_string()), ["1", "3", "50", "50"]);
        assert_eq!(figures.spread(1), "     1.0      3.0     50.0");
        assert_eq!(figures.told(), "1.00 / 3.00 / 50.0");
    }

    #[test]
    fn a_latency_is_exact_to_three_figures() {
        let latencies = Latencies::of((1..=1000).map(f64::from));
        for (share, expected) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1000.0)] {
            let found = latencies.us_at(share);
            assert!((found / expected - 1.0).abs() < 0.002, "{share}: {found}");
        }
        assert!(Latencies::of([]).us_at(0.99).abs() < f64::EPSILON);
    }

    #[test]
    fn figures_are_readable() {
        let texts = [0.839, 12.34, 99.96, 999.6, 14_376.2, 1_234_567.0].map(short);
        assert_eq!(
            texts,
            ["0.84", "12.3", "100.0", "1 000", "14 376", "1 234 567"]
        );
        assert_eq!(grouped(-123.0), "-123");
    }
}
