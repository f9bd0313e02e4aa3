//! Readable documents in TOML: how their faults are shown, with line and caret.

use std::ops::Range;

use serde::Deserialize;

use crate::printable::{printable, printable_char};

/// Why a text is not the document it should be: what is wrong, where, and what was expected.
///
/// Shown, it has the line and a caret under the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextError {
    /// What is wrong, in one line.
    pub message: String,
    /// The line, from 1.
    pub line: usize,
    /// The text uses a field, a value or a format that this build does not know.
    pub needs_newer: bool,
    shown: String,
}

/// Reads a whole TOML text.
pub(crate) fn read_toml<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, TextError> {
    toml::from_str(text).map_err(|error| TextError::of_toml(text, &error))
}

impl TextError {
    fn of_toml(text: &str, error: &toml::de::Error) -> Self {
        let message = error.message();
        // serde's own words for what `deny_unknown_fields` and closed lists of words refuse.
        let needs_newer =
            message.starts_with("unknown field") || message.starts_with("unknown variant");
        let error = Self::at(text, error.span().unwrap_or(0..0), message);
        if needs_newer { error.newer() } else { error }
    }

    pub(crate) fn at(text: &str, span: Range<usize>, message: &str) -> Self {
        let start = text.floor_char_boundary(span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let end = text.floor_char_boundary(span.end).min(line_end).max(start);
        let line = 1 + text[..start].matches('\n').count();
        // Long lines are base64: only what stands around the place is shown.
        let column = text[line_start..start].chars().count();
        let hidden = column.saturating_sub(COLUMNS_BEFORE);
        let source = text[line_start..line_end]
            .chars()
            .skip(hidden)
            .take(COLUMNS);
        let source: String = source.map(printable_char).collect();
        let carets = text[start..end].chars().count().clamp(1, COLUMNS_BEFORE);
        let message: String = printable(message);
        let margin = " ".repeat(line.to_string().len());
        let shown = format!(
            "line {line}: {message}\n{margin} |\n{line} | {source}\n{margin} | {}{}",
            " ".repeat(column - hidden),
            "^".repeat(carets)
        );
        Self {
            message,
            line,
            needs_newer: false,
            shown,
        }
    }

    pub(crate) fn newer(mut self) -> Self {
        self.needs_newer = true;
        self
    }
}

impl std::fmt::Display for TextError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

impl std::error::Error for TextError {}

const COLUMNS: usize = 100;
const COLUMNS_BEFORE: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_shown_and_nothing_else() {
        let text = format!("a = 1\nb = \"{}\"\n", "é".repeat(500));
        let at = text.len() - 12;
        let shown = TextError::at(&text, at..text.len(), "no\u{1b}[2J").to_string();
        assert!(shown.starts_with("line 2: no\u{fffd}[2J\n"), "{shown}");
        let lines: Vec<usize> = shown.lines().map(|line| line.chars().count()).collect();
        assert!(lines.iter().all(|length| *length <= 110), "{lines:?}");
    }

    #[test]
    fn places_at_the_end_of_a_line_or_file_are_places() {
        for start in 0..=6 {
            for end in 0..=7 {
                let error = TextError::at("a\nbü\n", start..end, "no");
                assert!(error.to_string().contains('^'));
            }
        }
    }

    #[test]
    fn the_caret_stands_under_the_place() {
        let error = TextError::at("a = 1\nbü = x y\n", 12..13, "no");
        assert_eq!(
            error.to_string(),
            "line 2: no\n  |\n2 | bü = x y\n  |      ^"
        );
        let error = TextError::at("a = 1\n", 0..1, "no");
        assert_eq!(error.to_string(), "line 1: no\n  |\n1 | a = 1\n  | ^");
        assert_eq!((error.line, error.needs_newer), (1, false));
    }
}
