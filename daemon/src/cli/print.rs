//! What verbs print: tables for people, JSON for scripts. Decides how words, seats and times look.
//!
//! A reader that has seen enough (`usherd leases | head`) ends a verb in silence.

use std::io::{self, BufWriter, Stdout, Write};

use serde::Serialize;

/// Words of a client, a vendor or another administrator: nothing in them may steer the terminal.
pub(super) use usher_protocol::printable::printable as plain;

use super::Failure;
pub(super) use crate::{
    admin::glance::until,
    facts::{counted, counted_as, environment},
};

/// Standard output, in pieces as large as they come.
pub(super) struct Out(BufWriter<Stdout>);

impl Out {
    /// The one of this process.
    pub(super) fn new() -> Self {
        Self(BufWriter::new(io::stdout()))
    }

    /// One line.
    pub(super) fn line(&mut self, line: &str) -> Result<(), Failure> {
        writeln!(self.0, "{line}").map_err(|error| written(&error))
    }

    /// Text that ends its own lines.
    pub(super) fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.0
            .write_all(text.as_bytes())
            .map_err(|error| written(&error))
    }

    /// Everything is out.
    pub(super) fn end(mut self) -> Result<(), Failure> {
        self.0.flush().map_err(|error| written(&error))
    }
}

/// Prints text that ends its own lines.
pub(super) fn text(text: &str) -> Result<(), Failure> {
    let mut out = Out::new();
    out.text(text)?;
    out.end()
}

/// Prints one JSON document, indented: people read it too.
pub(super) fn json<T: Serialize>(value: &T) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::new(format!("cannot print JSON: {error}; please report it")))?;
    text(&format!("{json}\n"))
}

/// One JSON document on one line.
pub(super) fn json_line<T: Serialize>(value: &T) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map_err(|error| Failure::new(format!("cannot print JSON: {error}; please report it")))
}

/// Columns as wide as what they have held so far; numbers to the right.
pub(super) struct Table<const N: usize> {
    columns: [Column; N],
    widths: [usize; N],
    /// False for a column that has said nothing so far and is not to be seen then.
    seen: [bool; N],
}

/// A column's heading, and where its cells stand.
#[derive(Debug, Clone, Copy)]
pub(super) enum Column {
    /// Words.
    Left(&'static str),
    /// Numbers.
    Right(&'static str),
    /// Numbers, to be seen only where one of them is not zero.
    RightIfAny(&'static str),
}

impl<const N: usize> Table<N> {
    /// An empty table.
    pub(super) fn new(columns: [Column; N]) -> Self {
        let widths = columns.map(|column| column.heading().chars().count());
        let seen = columns.map(|column| !matches!(column, Column::RightIfAny(_)));
        Self {
            columns,
            widths,
            seen,
        }
    }

    /// The line of headings; measure the first rows before.
    pub(super) fn head(&self) -> String {
        self.line(&self.columns.map(|column| column.heading().to_owned()))
    }

    /// Makes room for these cells.
    pub(super) fn measure(&mut self, cells: &[String; N]) {
        for ((width, seen), cell) in self.widths.iter_mut().zip(&mut self.seen).zip(cells) {
            *width = (*width).max(cell.chars().count());
            *seen |= !matches!(cell.as_str(), "" | "0");
        }
    }

    /// One line of cells, without an end of line.
    pub(super) fn line(&self, cells: &[String; N]) -> String {
        let mut line = String::new();
        let columns = cells
            .iter()
            .zip(self.widths)
            .zip(self.columns)
            .zip(self.seen);
        for (((cell, width), column), _) in columns.filter(|(_, seen)| *seen) {
            let room = " ".repeat(width.saturating_sub(cell.chars().count()));
            let (before, after) = match column {
                Column::Left(_) => ("", room.as_str()),
                Column::Right(_) | Column::RightIfAny(_) => (room.as_str(), ""),
            };
            line.extend([before, cell, after, "  "]);
        }
        line.truncate(line.trim_end().len());
        line
    }

    /// All of it at once.
    pub(super) fn of(columns: [Column; N], rows: &[[String; N]]) -> String {
        let mut table = Self::new(columns);
        for row in rows {
            table.measure(row);
        }
        let lines = std::iter::once(table.head()).chain(rows.iter().map(|row| table.line(row)));
        lines.map(|line| line + "\n").collect()
    }
}

impl Column {
    const fn heading(self) -> &'static str {
        match self {
            Self::Left(heading) | Self::Right(heading) | Self::RightIfAny(heading) => heading,
        }
    }
}

/// A number of seats, or that there is no end of them.
pub(super) fn seats(seats: Option<u32>) -> String {
    seats.map_or("unlimited".to_owned(), |seats| seats.to_string())
}

fn written(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::nobody_reads(),
        _ => Failure::new(format!(
            "cannot print: {error}; free disk space, then try again"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_stands_in_columns() {
        let rows = [
            ["acme/solver".to_owned(), "10".to_owned(), "live".to_owned()],
            ["b/c".to_owned(), "7".to_owned(), String::new()],
        ];
        let columns = [
            Column::Left("FEATURE"),
            Column::Right("SEATS"),
            Column::Left("NOTE"),
        ];
        insta::assert_snapshot!(Table::of(columns, &rows), @r"
        FEATURE      SEATS  NOTE
        acme/solver     10  live
        b/c              7
        ");
    }

    #[test]
    fn a_column_that_says_nothing_is_not_seen_where_it_need_not_be() {
        let columns = [
            Column::Left("FEATURE"),
            Column::RightIfAny("QUEUE"),
            Column::Right("FREE"),
        ];
        let row = |queue: &str| ["a/b".to_owned(), queue.to_owned(), "0".to_owned()];
        let text = Table::of(columns, &[row("0"), row("")]);
        insta::assert_snapshot!(text, @r"
        FEATURE  FREE
        a/b         0
        a/b         0
        ");
        let text = Table::of(columns, &[row("0"), row("2")]);
        insta::assert_snapshot!(text, @r"
        FEATURE  QUEUE  FREE
        a/b          0     0
        a/b          2     0
        ");
    }

    #[test]
    fn words_cannot_steer_the_terminal() {
        assert_eq!(
            plain("a\u{1b}[31mb\u{9b}\nc"),
            "a\u{fffd}[31mb\u{fffd}\u{fffd}c"
        );
    }
}
