//! Whether what a command printed is what a page says it prints. Times, keys, ids and the width of columns differ from
//! one day to the next and are not compared; everything else is.

use std::sync::OnceLock;

use regex_lite::Regex;

/// Whether the lines of a page stand for those that were printed.
pub(crate) fn is_as_said(said: &[String], printed: &str) -> bool {
    let said: Vec<_> = said.iter().map(|it| plain(it)).collect();
    let printed: Vec<_> = printed.trim_end().lines().map(plain).collect();
    lines(&said, &printed)
}

fn lines(said: &[String], printed: &[String]) -> bool {
    match (said.split_first(), printed.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "…" => {
            lines(rest, printed) || (!printed.is_empty() && lines(said, &printed[1..]))
        }
        (Some((first, rest)), Some((line, further))) => {
            stands_for(first, line) && lines(rest, further)
        }
        _ => false,
    }
}

fn stands_for(said: &str, line: &str) -> bool {
    match said.split_once('…') {
        None => said == line,
        Some((before, after)) => line.strip_prefix(before).is_some_and(|rest| {
            let ends = (0..=rest.len()).filter(|at| rest.is_char_boundary(*at));
            ends.into_iter().any(|at| stands_for(after, &rest[at..]))
        }),
    }
}

fn plain(line: &str) -> String {
    static KINDS: OnceLock<Vec<(Regex, &str)>> = OnceLock::new();
    let kinds = KINDS.get_or_init(|| {
        let kinds = VOLATILE.iter();
        kinds
            .map(|(of, name)| (Regex::new(of).unwrap(), *name))
            .collect()
    });
    let mut line = line.to_owned();
    for (kind, name) in kinds {
        line = kind.replace_all(&line, *name).into_owned();
    }
    let words: Vec<_> = line.split_whitespace().collect();
    words.join(" ")
}

const VOLATILE: [(&str, &str); 12] = [
    // Colors.
    ("\u{1b}\\[[0-9;]*m", ""),
    (
        r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?(\.\d+)?( ?[+-]\d\d:\d\d|Z)?)?",
        "<time>",
    ),
    (r"ed25519:[A-Za-z0-9+/]{43}=", "<key>"),
    (r"usht_[A-Za-z0-9_-]+", "<token>"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{1,16}\b", "<lease>"),
    (r"\b[0-9a-f]{32,64}\b", "<hex>"),
    (r"\b\d+m\d{1,2}s\b|\b\d+d\d+h\b|\(\d+(ms|s)\)", "<length>"),
    (r"\b\d{10}\b", "<epoch>"),
    (r"\b\d+ MiB\b", "<bytes>"),
    (r"\b\d+\.\d+ ms\b", "<length>"),
    (r"\b[0-9a-f]{8}\b", "<id>"),
    (r"[─-]{3,}", "---"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn is(said: &str, printed: &str) -> bool {
        let said: Vec<_> = said.lines().map(str::to_owned).collect();
        is_as_said(&said, printed)
    }

    #[test]
    fn what_differs_every_day_is_not_compared_and_the_rest_is() {
        let day = "lease 6afd9ec0-11  until 2026-11-22T16:00:00+01:00\n";
        assert!(is("lease 01234567-2 until 2027-01-01 08:30 +00:00", day));
        assert!(!is("lease 01234567-2 till 2027-01-01 08:30 +00:00", day));
        assert!(is("lease … until …", day));
        assert!(!is("lease … until", day));
        assert!(!is("", day));
    }

    #[test]
    fn an_ellipsis_alone_stands_for_any_lines() {
        assert!(is("a\n…\nd", "a\nb\nc\nd\n"));
        assert!(is("a\n…\nb", "a\nb\n"));
        assert!(!is("a\n…\ne", "a\nb\n"));
        assert!(!is("a", "a\nb\n"));
    }
}
