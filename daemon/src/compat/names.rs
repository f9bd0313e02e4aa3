//! Which letters a name may have where other tools read it (the field's rules 2 to 5).

use std::collections::BTreeMap;

use super::Feature;

/// Gives each feature its name: one that two vendors have gets its vendor's before.
pub(super) fn tell_apart(features: &mut [Feature]) {
    let short = |it: &Feature| name(it.path.rsplit('/').next().unwrap_or_default());
    let mut counts = BTreeMap::<String, u32>::new();
    for feature in features.iter() {
        *counts.entry(short(feature)).or_default() += 1;
    }
    for feature in features {
        let alone = short(feature);
        feature.name = match counts.get(&alone) {
            Some(1) => alone,
            _ => format!("{}_{alone}", feature.vendor),
        };
    }
}

/// `[A-Za-z0-9_-]+`: a dot or slash breaks parsers.
pub(super) fn name(text: &str) -> String {
    made_of(text, |c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// `\w+`.
pub(super) fn word(text: &str) -> String {
    made_of(text, |c| c.is_ascii_alphanumeric() || c == '_')
}

/// `[\w.-]+`, for users, hosts and displays of holders.
pub(super) fn token(text: &str) -> String {
    made_of(text, |c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

/// A server's host; a name in which a parser sees an outage is not shown.
pub(super) fn host(text: &str) -> String {
    let host = token(text);
    let lower = host.to_ascii_lowercase();
    if OUTAGES.iter().any(|word| lower.contains(word)) {
        return "license-server".to_owned();
    }
    host
}

/// Digits and dots.
pub(super) fn version(text: &str) -> String {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let digits = text[..end.unwrap_or(text.len())].trim_matches('.');
    match digits {
        "" => "1.0".to_owned(),
        whole if !whole.contains('.') => format!("{whole}.0"),
        version => version.to_owned(),
    }
}

fn made_of(text: &str, fits: impl Fn(char) -> bool) -> String {
    let text: String = text
        .chars()
        .map(|c| if fits(c) { c } else { '_' })
        .collect();
    if text.is_empty() {
        "_".to_owned()
    } else {
        text
    }
}

/// In any text before the features, these say that the server is gone.
pub(super) const OUTAGES: [&str; 5] = ["cannot", "unable", "refused", "down", "error"];
