//! What is wrong with a configuration, told so that a person can mend it: file, line, caret, next step.

use std::{fmt, io, ops::Range, path::PathBuf};

/// Why a configuration is not used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The system did not hand it out.
    #[error("cannot read {}: {source}; check the path and its permissions", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It is longer than any configuration.
    #[error("{} is longer than {} bytes: is it a configuration?", path.display(), crate::limits::CONFIG_BYTES_MAX)]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// It is not UTF-8.
    #[error("{}: byte {at} is not UTF-8 text; save the file as UTF-8", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// Offset of the first such byte.
        at: usize,
    },
    /// It is not TOML, or says what no setting says.
    #[error("{}{place}: {message}{}\nMend it, then try it with: usherd check {}", path.display(), place.excerpt(), path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Where in it.
        place: Place,
        /// What was found and what was expected.
        message: String,
    },
}

impl ConfigError {
    /// There is no such file.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// A place in a text: its line with the columns concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(Option<Spot>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Spot {
    line: usize,
    column: usize,
    width: usize,
    text: String,
}

impl Place {
    /// The place of `span` in `text`; spans over several lines are shown by their first.
    pub fn of(text: &str, span: Option<Range<usize>>) -> Self {
        let Some(span) = span else { return Self(None) };
        let Some(before) = text.get(..span.start) else {
            return Self(None);
        };
        let start_of_line = before.rfind('\n').map_or(0, |at| at + 1);
        let line = text[start_of_line..].lines().next().unwrap_or_default();
        let column = text[start_of_line..span.start].chars().count();
        let marked = text
            .get(span.clone())
            .and_then(|marked| marked.lines().next())
            .unwrap_or_default();
        Self(Some(Spot {
            line: before.matches('\n').count() + 1,
            column: column + 1,
            width: marked.chars().count().max(1),
            text: line.to_owned(),
        }))
    }

    fn excerpt(&self) -> String {
        let Some(spot) = &self.0 else {
            return String::new();
        };
        let number = spot.line.to_string();
        let margin = " ".repeat(number.len());
        let indent = " ".repeat(spot.column - 1);
        let carets = "^".repeat(spot.width);
        format!(
            "\n{margin} |\n{number} | {}\n{margin} | {indent}{carets}",
            spot.text
        )
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(spot) => write!(f, ":{}:{}", spot.line, spot.column),
            None => Ok(()),
        }
    }
}
