//! Patterns with `*` and `?`: which names they match. Decides nothing about who or what is meant.

use std::{borrow::Cow, collections::BTreeSet, fmt, str::FromStr};

use usher_protocol::{
    limits::{HOLDER_BYTES_MAX, NAME_BYTES_MAX},
    names::FeaturePath,
};

/// A user's or host's name as names are compared: in lower case, letter by letter, whatever stands
/// around a letter. Borrowed when it is so already.
pub fn fold(name: &str) -> Cow<'_, str> {
    if name.chars().all(is_folded) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(name.chars().flat_map(char::to_lowercase).collect())
}

fn is_folded(c: char) -> bool {
    let mut lower = c.to_lowercase();
    lower.next() == Some(c) && lower.next().is_none()
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing at all.
    #[error("an empty pattern matches nobody; expected a name, with `*` and `?` as you like")]
    Empty,
    /// Longer than any name can be.
    #[error("a pattern of {0} bytes, over the limit of {HOLDER_BYTES_MAX}")]
    TooLong(usize),
    /// Spaces around it, which no name has.
    #[error("`{0}` begins or ends with a space, which no name does")]
    Spaces(String),
    /// A character that no name shows.
    #[error("{0:?} stands in no name")]
    Unprintable(char),
    /// Not a feature, nor a pattern of features.
    #[error("{0}")]
    Feature(String),
}

/// Names of users or hosts, and patterns of them; compared folded.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Names {
    exact: BTreeSet<String>,
    patterns: Vec<String>,
}

impl Names {
    /// Adds a name or pattern.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn add(&mut self, pattern: &str) -> Result<(), PatternError> {
        if pattern.is_empty() {
            return Err(PatternError::Empty);
        }
        if pattern.len() > HOLDER_BYTES_MAX {
            return Err(PatternError::TooLong(pattern.len()));
        }
        if let Some(c) = pattern.chars().find(|c| c.is_control()) {
            return Err(PatternError::Unprintable(c));
        }
        if pattern.trim() != pattern {
            return Err(PatternError::Spaces(pattern.to_owned()));
        }
        let folded = fold(pattern).into_owned();
        if is_pattern(&folded) {
            self.patterns.push(folded);
        } else {
            self.exact.insert(folded);
        }
        Ok(())
    }

    /// Whether one of them matches this folded name.
    pub(super) fn contain(&self, folded: &str) -> bool {
        self.exact.contains(folded) || self.patterns.iter().any(|it| matches(it, folded))
    }
}

/// Which features a rule is about. One that is named does not go before a pattern: only the order in
/// the file counts.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub enum FeaturePattern {
    /// All there are.
    #[default]
    Every,
    /// Those that match: `acme/*`.
    Pattern(String),
    /// One: `acme/solver`.
    One(String),
}

impl FeaturePattern {
    /// Whether a feature, named `vendor/feature`, is meant.
    pub fn matches(&self, feature: &str) -> bool {
        match self {
            Self::Every => true,
            Self::Pattern(pattern) => matches(pattern, feature),
            Self::One(name) => name == feature,
        }
    }

    /// Whether every feature that `other` can mean is meant here as well; never said wrongly, but
    /// not always found out.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Every, _) => true,
            (Self::Pattern(_), Self::One(name)) => self.matches(name),
            _ => self == other,
        }
    }
}

impl FromStr for FeaturePattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if !is_pattern(text) {
            return match text.parse::<FeaturePath>() {
                Ok(path) => Ok(Self::One(path.to_string())),
                Err(error) => Err(PatternError::Feature(error.to_string())),
            };
        }
        let wrong = |what: &str| {
            PatternError::Feature(format!("{what}; expected `vendor/feature`, like `acme/*`"))
        };
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.*?/".contains(c);
        if let Some(c) = text.chars().find(|c| !fits(*c)) {
            return Err(wrong(&format!("{c:?} stands in no feature's name")));
        }
        if text.len() > 2 * NAME_BYTES_MAX + 1 {
            return Err(wrong("longer than any feature's name"));
        }
        match text.split('/').collect::<Vec<_>>()[..] {
            [vendor, feature] if !vendor.is_empty() && !feature.is_empty() => {
                Ok(Self::Pattern(text.to_owned()))
            }
            _ => Err(wrong("a pattern of features has one `/`")),
        }
    }
}

impl fmt::Display for FeaturePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every => f.write_str("every feature"),
            Self::Pattern(text) | Self::One(text) => f.write_str(text),
        }
    }
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// `*` is any run of characters, `?` is one. At most `pattern × text` steps: only the last `*` is
/// ever tried again.
fn matches(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    let mut again = None;
    loop {
        let (mut pattern_next, mut text_next) = (pattern.clone(), text.clone());
        match (pattern_next.next(), text_next.next()) {
            (None, None) => return true,
            (Some('*'), _) if pattern_next.as_str().is_empty() => return true,
            (Some('*'), _) => {
                again = Some((pattern_next.clone(), text.clone()));
                pattern = pattern_next;
            }
            (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {
                (pattern, text) = (pattern_next, text_next);
            }
            _ => {
                let Some((after_star, from)) = &mut again else {
                    return false;
                };
                if from.next().is_none() {
                    return false;
                }
                (pattern, text) = (after_star.clone(), from.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_and_question_marks_match_as_in_a_shell() {
        for (pattern, text, expected) in [
            ("bob", "bob", true),
            ("bob", "bobby", false),
            ("bob*", "bob", true),
            ("*bob", "xbob", true),
            ("b?b", "bob", true),
            ("b?b", "bb", false),
            ("*", "", true),
            ("?", "", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-d", false),
            ("ws-**-1", "ws-x-1", true),
            ("*?x", "x", false),
            ("j?rg", "jörg", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn names_are_compared_without_case_beyond_ascii_too() {
        let mut names = Names::default();
        names.add("ÄNNE*").unwrap();
        names.add("Bob").unwrap();
        for name in ["änne-1", "Änne", "BOB", "bob"] {
            assert!(names.contain(&fold(name)), "{name}");
        }
        assert!(!names.contain(&fold("bobby")));
        assert!(matches!(fold("bob"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_feature_is_named_with_its_vendor() {
        for (text, matched) in [
            ("acme/solver", true),
            ("acme/*", true),
            ("*/solver", true),
            ("acme/s?lver", true),
            ("acme/solve", false),
        ] {
            let pattern: FeaturePattern = text.parse().unwrap();
            assert_eq!(pattern.matches("acme/solver"), matched, "{text}");
        }
        for wrong in [
            "solver",
            "*",
            "acme/",
            "/solver",
            "Acme/*",
            "acme/so lver",
            "a/b/*",
            "",
        ] {
            assert!(wrong.parse::<FeaturePattern>().is_err(), "{wrong}");
        }
        assert!(FeaturePattern::Every.matches("acme/solver"));
    }

    /// A3.
    #[test]
    fn a_pattern_is_as_long_as_what_it_matches_and_no_longer() {
        let mut names = Names::default();
        names.add(&"a".repeat(HOLDER_BYTES_MAX)).unwrap();
        for bytes in [HOLDER_BYTES_MAX + 1, HOLDER_BYTES_MAX + 2] {
            let error = names.add(&"a".repeat(bytes)).unwrap_err();
            assert_eq!(error, PatternError::TooLong(bytes));
        }
        let longest = format!("{0}/{0}", "?".repeat(NAME_BYTES_MAX));
        assert!(longest.parse::<FeaturePattern>().is_ok());
        for more in ["?", "??"] {
            let longer = format!("{longest}{more}");
            assert!(longer.parse::<FeaturePattern>().is_err(), "{more}");
        }
    }

    #[test]
    fn a_pattern_of_features_says_something_on_both_sides() {
        for wrong in ["*/", "/*", "a?/", "/a?"] {
            let error = wrong.parse::<FeaturePattern>().unwrap_err().to_string();
            assert!(error.contains("has one `/`"), "{wrong}: {error}");
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_plain_definition(pattern in "[ab*?]{0,8}", text in "[abü]{0,8}") {
            fn plain(pattern: &[char], text: &[char]) -> bool {
                match (pattern, text) {
                    ([], []) => true,
                    (['*', rest @ ..], _) => {
                        (0..=text.len()).any(|skipped| plain(rest, &text[skipped..]))
                    }
                    (['?', rest @ ..], [_, text @ ..]) => plain(rest, text),
                    ([p, rest @ ..], [t, text @ ..]) => p == t && plain(rest, text),
                    _ => false,
                }
            }
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &text), plain(&chars(&pattern), &chars(&text)));
        }
    }
}
