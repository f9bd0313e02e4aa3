//! What is wrong with a policy, told so that a person can mend it: file, line, caret, what was
//! expected; all of it at once, up to a limit.

use std::{
    fmt, io,
    ops::Range,
    path::{Path, PathBuf},
};

use usher_engine::policy::limits::ENTRIES_MAX;
use usher_protocol::printable::{printable, printable_char};

use crate::limits::POLICY_FAULTS_SHOWN_MAX;

/// Why a policy is not used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The system did not hand it out.
    #[error("cannot read {}: {source}; check the path and its permissions", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It is longer than any policy.
    #[error("{} is longer than {} bytes: is it a policy?", path.display(), crate::limits::POLICY_BYTES_MAX)]
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
    /// It is not TOML, or says what no policy says.
    #[error("{}", all(path, faults, *more))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong, in the order of the file.
        faults: Vec<Fault>,
        /// Faults beyond those listed.
        more: usize,
    },
}

impl PolicyError {
    /// There is no such file.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// One thing that is wrong, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1, in characters.
    pub column: usize,
    /// What was found and what was expected.
    pub message: String,
    excerpt: String,
}

impl fmt::Display for Fault {
    /// Without the file: `3:8: message`, the line and carets under the place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            column,
            message,
            excerpt,
        } = self;
        write!(f, "{line}:{column}: {message}\n{excerpt}")
    }
}

fn all(path: &Path, faults: &[Fault], more: usize) -> String {
    let path = path.display();
    let shown = faults.iter().map(|fault| format!("{path}:{fault}\n"));
    let what = match faults.len() + more {
        1 => "1 error".to_owned(),
        count if more > 0 => format!("{count} errors, of which these are the first"),
        count => format!("{count} errors"),
    };
    format!(
        "{}{what}; mend the file, then try it with: usherd policy check {path}",
        shown.collect::<String>()
    )
}

/// What was found wrong so far in one text.
pub(super) struct Faults<'t> {
    text: &'t str,
    line_starts: Vec<usize>,
    found: Vec<(Range<usize>, String)>,
    entries: usize,
}

impl<'t> Faults<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            text,
            line_starts: [0].into_iter().chain(ends).collect(),
            found: Vec::new(),
            entries: 0,
        }
    }

    /// Counts the entries of a list; those of all lists together are bounded (A3).
    pub(super) fn more_entries(&mut self, count: usize, span: Range<usize>) {
        let before = self.entries;
        self.entries += count;
        if before <= ENTRIES_MAX && self.entries > ENTRIES_MAX {
            let message = format!(
                "with this list, all lists together have {} entries, over the limit of {ENTRIES_MAX}",
                self.entries
            );
            self.at(span, message);
        }
    }

    /// Something is wrong there.
    pub(super) fn at(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.found.push((span, message.into()));
    }

    /// The line of an offset, from 1.
    pub(super) fn line(&self, offset: usize) -> u32 {
        let line = self.line_starts.partition_point(|start| *start <= offset);
        u32::try_from(line).unwrap_or(u32::MAX)
    }

    /// The verdict.
    pub(super) fn end(self, path: &Path) -> Result<(), PolicyError> {
        if self.found.is_empty() {
            Ok(())
        } else {
            Err(self.into_error(path))
        }
    }

    /// All faults in the order of the file.
    pub(super) fn into_error(mut self, path: &Path) -> PolicyError {
        self.found.sort_by_key(|(span, _)| span.start);
        self.found.dedup();
        let shown = self.found.iter().take(POLICY_FAULTS_SHOWN_MAX);
        let faults: Vec<Fault> = shown.map(|(span, text)| self.fault(span, text)).collect();
        PolicyError::Wrong {
            path: path.to_owned(),
            more: self.found.len() - faults.len(),
            faults,
        }
    }

    fn fault(&self, span: &Range<usize>, message: &str) -> Fault {
        let start = self.text.floor_char_boundary(span.start);
        let line = self.line(start);
        let line_start = self.line_starts[line as usize - 1];
        let source = self.text[line_start..].split(['\n', '\r']).next();
        let source = source.unwrap_or_default();
        let end = self.text.floor_char_boundary(span.end);
        let end = end.min(line_start + source.len()).max(start);
        let column = self.text[line_start..start].chars().count();
        // Of a long line, only what stands around the place is shown.
        let hidden = column.saturating_sub(COLUMNS_BEFORE);
        let shown: String = source.chars().skip(hidden).take(COLUMNS).collect();
        let shown: String = shown.chars().map(printable_char).collect();
        let carets = self.text[start..end].chars().count();
        let carets = carets.clamp(1, COLUMNS_BEFORE);
        let margin = " ".repeat(line.to_string().len());
        let indent = " ".repeat(column - hidden);
        let excerpt = format!(
            "{margin} |\n{line} | {shown}\n{margin} | {indent}{}",
            "^".repeat(carets)
        );
        Fault {
            line,
            column: column + 1,
            message: printable(message),
            excerpt,
        }
    }
}

const COLUMNS: usize = 100;
const COLUMNS_BEFORE: usize = 60;
