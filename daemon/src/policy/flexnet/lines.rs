//! An options file's lines, as words: comments gone, continued lines joined. Knows no keyword.

/// One statement: the line it begins at, from 1, and its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) number: u32,
    pub(super) words: Vec<String>,
}

/// The lines that hold anything. A `\` at the end joins the next line, `#` begins a comment, double
/// quotes hold a word together.
pub(super) fn of(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut open: Option<Line> = None;
    for (number, source) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let source = source.trim_end();
        let (source, goes_on) = match source.strip_suffix('\\') {
            Some(start) if !is_comment(source) => (start, true),
            _ => (source, false),
        };
        let line = open.get_or_insert_with(|| Line {
            number,
            words: Vec::new(),
        });
        line.words.extend(words(source));
        if !goes_on {
            lines.extend(open.take());
        }
    }
    lines.extend(open);
    lines.retain(|line| !line.words.is_empty());
    lines
}

fn is_comment(source: &str) -> bool {
    source.trim_start().starts_with('#')
}

fn words(source: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = source.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_continuations_and_quotes_are_understood() {
        let text = "# a \\\nGROUP g a \\\n  b \\\r\n\tc # d\n\nRESERVE 1 \"f VERSION=1\" USER \"ann b\"\nNOLOG \\";
        let found: Vec<(u32, Vec<String>)> = of(text)
            .into_iter()
            .map(|it| (it.number, it.words))
            .collect();
        let words = |text: &str| text.split('|').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            found,
            [
                (2, words("GROUP|g|a|b|c")),
                (6, words("RESERVE|1|f VERSION=1|USER|ann b")),
                (7, words("NOLOG")),
            ]
        );
    }
}
