//! Decides what may stand for a DNS domain in which servers are looked for. Pure: it asks nobody.

use std::fmt;
use std::str::FromStr;

/// A domain like `example.com`: at most 200 characters of letters, digits, `-`, `_` and dots, without the last dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Domain(String);

/// Why a text is no domain, with what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a domain: {problem}; {advice}")]
pub struct MalformedDomain {
    /// The text as given, cut to 80 characters.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
    /// What to do next.
    pub advice: &'static str,
}

impl Domain {
    /// As it was written, without a last dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name under which servers are listed, with its last dot: `_usher._udp.example.com.`
    pub fn service(&self) -> String {
        format!("_usher._udp.{}.", self.0)
    }
}

impl FromStr for Domain {
    type Err = MalformedDomain;

    fn from_str(text: &str) -> Result<Self, MalformedDomain> {
        let bare = text.trim();
        let bare = bare.strip_suffix('.').unwrap_or(bare);
        match problem(bare) {
            None => Ok(Self(bare.to_owned())),
            Some((problem, advice)) => Err(MalformedDomain {
                text: text.chars().take(80).collect(),
                problem,
                advice,
            }),
        }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn problem(bare: &str) -> Option<(&'static str, &'static str)> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if bare.is_empty() {
        return Some(("it is empty", EXAMPLE));
    }
    if !bare.is_ascii() {
        let advice = "write it in its form for the DNS, like xn--bcher-kva.example";
        return Some(("it has letters that the DNS has not", advice));
    }
    if bare.starts_with("_usher.") {
        let advice = "leave out `_usher._udp.`: usher puts it in front itself";
        return Some(("it is the name of the records, not of the domain", advice));
    }
    if bare.len() > CHARS_MAX || bare.split('.').any(|label| label.len() > 63) {
        return Some(("it is too long", "check it for a slip"));
    }
    if !bare
        .split('.')
        .all(|label| !label.is_empty() && label.chars().all(fine))
    {
        return Some(("it has characters that no domain has", EXAMPLE));
    }
    if bare.eq_ignore_ascii_case("local") || bare.to_ascii_lowercase().ends_with(".local") {
        let advice = "leave it out: the local network is asked anyway, unless `mdns = false`";
        return Some(("`.local` is mDNS's own", advice));
    }
    None
}

/// Leaves room for the service and an instance in the 253 that a name may have.
const CHARS_MAX: usize = 200;
const EXAMPLE: &str = "write it like example.com";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_kept_without_its_last_dot() {
        let domain: Domain = " cad.example.com. ".parse().unwrap();
        assert_eq!(domain.to_string(), "cad.example.com");
        assert_eq!(domain.service(), "_usher._udp.cad.example.com.");
    }

    #[test]
    fn a_slip_is_named() {
        for (text, problem) in [
            ("", "it is empty"),
            (".", "it is empty"),
            ("bücher.example", "it has letters that the DNS has not"),
            (
                "_usher._udp.example.com",
                "it is the name of the records, not of the domain",
            ),
            ("a..b", "it has characters that no domain has"),
            ("lic01:27443", "it has characters that no domain has"),
            ("office.Local", "`.local` is mDNS's own"),
            (&"a.".repeat(120), "it is too long"),
            (&"a".repeat(64), "it is too long"),
        ] {
            assert_eq!(text.parse::<Domain>().unwrap_err().problem, problem);
        }
    }
}
