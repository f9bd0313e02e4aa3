//! Readable documents in TOML: how their faults are shown, with line and caret.

use std::ops::Range;

use serde::Deserialize;

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
        let message = error.message().to_owned();
        // serde's own words for what `deny_unknown_fields` and closed lists of words refuse.
        let needs_newer =
            message.starts_with("unknown field") || message.starts_with("unknown variant");
        let error = Self::at(text, error.span().unwrap_or(0..0), message);
        if needs_newer { error.newer() } else { error }
    }

    pub(crate) fn at(text: &str, span: Range<usize>, message: String) -> Self {
        let start = text.floor_char_boundary(span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line = 1 + text[..start].matches('\n').count();
        let source = text[line_start..].lines().next().unwrap_or("");
        let column = text[line_start..start].chars().count();
        let end = text
            .floor_char_boundary(span.end)
            .clamp(start, line_start + source.len());
        let carets = "^".repeat(
            text.get(start..end)
                .map_or(1, |it| it.chars().count())
                .max(1),
        );
        let margin = " ".repeat(line.to_string().len());
        let shown = format!(
            "line {line}: {message}\n{margin} |\n{line} | {source}\n{margin} | {}{carets}",
            " ".repeat(column)
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
