//! Decides how figures are summed up and printed. Must not judge them.

/// The figures of several runs, put in order.
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

    /// `min / median / max`.
    pub(crate) fn spread(&self, decimals: usize) -> String {
        let [min, median, max] = [0.0, 0.5, 1.0].map(|share| self.at(share));
        format!("{min:>8.decimals$} {median:>8.decimals$} {max:>8.decimals$}")
    }
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
    }
}
