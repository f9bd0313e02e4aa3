//! The text format of Prometheus: families, samples, numbers in full. Decides no name and no value.

use std::fmt::{self, Display, Write as _};

/// A page in the making.
#[derive(Default)]
pub(super) struct Page(String);

impl Page {
    /// Opens a family; its samples follow.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// One sample. A label's text may be anything.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.write(format_args!("{name}"));
        for (index, (label, text)) in labels.iter().enumerate() {
            let before = if index == 0 { "{" } else { "," };
            self.write(format_args!("{before}{label}=\"{}\"", escaped(text)));
        }
        let after = if labels.is_empty() { "" } else { "}" };
        self.write(format_args!("{after} {value}\n"));
    }

    /// All of it.
    pub(super) fn text(self) -> String {
        self.0
    }

    fn write(&mut self, what: fmt::Arguments<'_>) {
        // Writing to a string fails never.
        let _ = self.0.write_fmt(what);
    }
}

/// A whole number over a power of ten, as a decimal: nothing is rounded.
pub(super) struct Decimal(pub(super) u64, pub(super) u64);

impl Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / self.1, self.0 % self.1);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        let digits = self.1.ilog10() as usize;
        let rest = format!("{rest:0digits$}");
        write!(f, "{whole}.{}", rest.trim_end_matches('0'))
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_full() {
        let said = |number: Decimal| number.to_string();
        assert_eq!(said(Decimal(1_795_348_800_123, 1000)), "1795348800.123");
        assert_eq!(said(Decimal(2_000, 1000)), "2");
        assert_eq!(said(Decimal(250, 1_000_000)), "0.00025");
        assert_eq!(said(Decimal(0, 1)), "0");
    }

    #[test]
    fn a_label_cannot_end_its_line() {
        let mut page = Page::default();
        page.sample("m", &[("user", "a\"b\\c\nd")], 1);
        assert_eq!(page.text(), "m{user=\"a\\\"b\\\\c\\nd\"} 1\n");
    }
}
