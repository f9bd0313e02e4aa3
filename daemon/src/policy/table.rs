//! Tables of a policy, read word by word: which words are known, which kind of value each has.
//!
//! It knows kinds (text, number, length of time, list), not what the words mean.

use std::ops::{Range, RangeInclusive};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use usher_protocol::time::DurationMs;

use super::{
    error::Faults,
    suggest::{did_you_mean, nearest},
};

/// One table and the words in it.
pub(super) struct Fields<'a> {
    /// Where it begins: its header.
    pub(super) span: Range<usize>,
    table: &'a DeTable<'a>,
}

impl<'a> Fields<'a> {
    /// The whole file.
    pub(super) fn of_root(table: &'a DeTable<'a>, known: &[&str], faults: &mut Faults<'_>) -> Self {
        let fields = Self { span: 0..0, table };
        fields.check(known, &[], faults);
        fields
    }

    /// A table whose words are names.
    pub(super) fn of_all(table: &'a DeTable<'a>) -> Self {
        Self { span: 0..0, table }
    }

    /// A table, whose words must all be known.
    pub(super) fn of(
        table: &'a DeTable<'a>,
        span: Range<usize>,
        known: &[&str],
        faults: &mut Faults<'_>,
    ) -> Self {
        let fields = Self { span, table };
        fields.check(known, ABOVE_TABLES, faults);
        fields
    }

    /// A word that belongs `above` all tables is taken for one of the table it stands below.
    fn check(&self, known: &[&str], above: &[&str], faults: &mut Faults<'_>) {
        for key in self.table.keys() {
            let word = key.get_ref().as_ref();
            if known.contains(&word) {
                continue;
            }
            let list = known.join("`, `");
            let hint = match nearest(word, above.iter().copied()) {
                Some(near) => {
                    format!("; `{near}` belongs above the first line that begins with `[`")
                }
                None => did_you_mean(word, known.iter().copied()),
            };
            let message = format!("`{}` is unknown; expected `{list}`{hint}", shown(word));
            faults.at(key.span(), message);
        }
    }

    /// All words with their places, in the order of the file.
    pub(super) fn entries(&self) -> Vec<(&'a str, Range<usize>, &'a Spanned<DeValue<'a>>)> {
        let entry = |(key, value): (&'a Spanned<_>, _)| {
            let name: &std::borrow::Cow<'a, str> = key.get_ref();
            (name.as_ref(), key.span(), value)
        };
        let mut entries: Vec<_> = self.table.iter().map(entry).collect();
        entries.sort_by_key(|(_, span, _)| span.start);
        entries
    }

    /// The value of a word, if it stands here.
    pub(super) fn value(&self, word: &'static str) -> Option<Word<'a>> {
        let value = self.table.get(word)?;
        Some(Word { word, value })
    }

    /// The value of a word that must stand here.
    pub(super) fn needed(
        &self,
        word: &'static str,
        like: &str,
        faults: &mut Faults<'_>,
    ) -> Option<Word<'a>> {
        let value = self.value(word);
        if value.is_none() {
            faults.at(
                self.span.clone(),
                format!("`{word}` is missing; expected one, like `{word} = {like}`"),
            );
        }
        value
    }
}

/// A word's value, with its place.
#[derive(Clone, Copy)]
pub(super) struct Word<'a> {
    word: &'static str,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Word<'a> {
    pub(super) fn span(&self) -> Range<usize> {
        self.value.span()
    }

    /// The value, when it is a table.
    pub(super) fn table(&self) -> Option<&'a DeTable<'a>> {
        self.value.get_ref().as_table()
    }

    /// It is this very text.
    pub(super) fn is_text(&self, text: &str) -> bool {
        self.value.get_ref().as_str() == Some(text)
    }

    /// It is a text with `*` or `?`.
    pub(super) fn is_pattern(&self) -> bool {
        let text = self.value.get_ref().as_str();
        text.is_some_and(|text| text.contains(['*', '?']))
    }

    /// A text.
    pub(super) fn text(&self, like: &str, faults: &mut Faults<'_>) -> Option<&'a str> {
        let text = self.value.get_ref().as_str();
        if text.is_none() {
            self.wrong_kind("a text", like, faults);
        }
        text
    }

    /// One of a few words.
    pub(super) fn one_of(
        &self,
        known: &[&'static str],
        faults: &mut Faults<'_>,
    ) -> Option<&'static str> {
        let like = format!("\"{}\"", known.first().copied().unwrap_or_default());
        let text = self.text(&like, faults)?;
        let found = known.iter().copied().find(|word| *word == text);
        if found.is_none() {
            let list = known.join("`, `");
            let hint = did_you_mean(text, known.iter().copied());
            let message = format!(
                "`{}` is unknown for `{}`; expected `{list}`{hint}",
                shown(text),
                self.word
            );
            faults.at(self.span(), message);
        }
        found
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, faults: &mut Faults<'_>) -> Option<bool> {
        let flag = self.value.get_ref().as_bool();
        if flag.is_none() {
            self.wrong_kind("`true` or `false`", "true", faults);
        }
        flag
    }

    /// A whole number within bounds; `besides` ends the message about one that is not.
    pub(super) fn number(
        &self,
        bounds: RangeInclusive<i64>,
        besides: &str,
        faults: &mut Faults<'_>,
    ) -> Option<i64> {
        let DeValue::Integer(digits) = self.value.get_ref() else {
            let like = bounds.start().max(&2).to_string();
            self.wrong_kind("a whole number", &like, faults);
            return None;
        };
        let number = i64::from_str_radix(digits.as_str(), digits.radix()).ok();
        let number = number.filter(|number| bounds.contains(number));
        if number.is_none() {
            let (least, most) = bounds.into_inner();
            let digits = shown(&digits.to_string());
            let message = format!(
                "`{}` is {digits}; expected {least} to {most}{besides}",
                self.word
            );
            faults.at(self.span(), message);
        }
        number
    }

    /// A count within bounds.
    pub(super) fn count(
        &self,
        bounds: RangeInclusive<u32>,
        besides: &str,
        faults: &mut Faults<'_>,
    ) -> Option<u32> {
        let (least, most) = bounds.into_inner();
        let number = self.number(i64::from(least)..=i64::from(most), besides, faults)?;
        u32::try_from(number).ok()
    }

    /// A length of time within bounds; zero may be written `"0"`.
    pub(super) fn length(
        &self,
        bounds: RangeInclusive<DurationMs>,
        faults: &mut Faults<'_>,
    ) -> Option<DurationMs> {
        let text = self.text("\"10m\"", faults)?;
        let length = match text {
            "0" => DurationMs::ZERO,
            text => match text.parse() {
                Ok(length) => length,
                Err(error) => {
                    let hint = length_meant(text);
                    faults.at(self.span(), format!("`{}` is {error}{hint}", shown(text)));
                    return None;
                }
            },
        };
        if bounds.contains(&length) {
            return Some(length);
        }
        let (least, most) = bounds.into_inner();
        let message = format!(
            "`{}` of {} is impossible; expected {} to {}",
            self.word,
            length.to_text(),
            least.to_text(),
            most.to_text()
        );
        faults.at(self.span(), message);
        None
    }

    /// A list of texts, each with its place. Values of another kind are left out, and a fault each.
    pub(super) fn list(
        &self,
        like: &str,
        faults: &mut Faults<'_>,
    ) -> Option<Vec<(&'a str, Range<usize>)>> {
        let Some(values) = self.value.get_ref().as_array() else {
            self.wrong_kind("a list", like, faults);
            return None;
        };
        faults.more_entries(values.len(), self.span());
        let mut texts = Vec::new();
        for value in values {
            let element = Word {
                word: self.word,
                value,
            };
            match value.get_ref().as_str() {
                Some(text) => texts.push((text, value.span())),
                None => element.wrong_kind("texts in this list", like, faults),
            }
        }
        (texts.len() == values.len()).then_some(texts)
    }

    /// Tables written `[[word]]`, each with the place of its header.
    pub(super) fn tables(&self, faults: &mut Faults<'_>) -> Vec<(&'a DeTable<'a>, Range<usize>)> {
        let header = |what: &str| {
            let word = self.word;
            format!(
                "`{word}` is {what}; expected rules that begin with `[[{word}]]`, in two brackets"
            )
        };
        let values = match self.value.get_ref() {
            DeValue::Array(values) => values,
            other => {
                faults.at(self.span(), header(&format!("one {}", other.type_str())));
                return Vec::new();
            }
        };
        let mut tables = Vec::new();
        for value in values {
            match value.get_ref().as_table() {
                Some(table) => tables.push((table, value.span())),
                None => faults.at(value.span(), header("a list of something else")),
            }
        }
        tables
    }

    /// The value is of another kind than it should be.
    pub(super) fn wrong_kind(&self, expected: &str, like: &str, faults: &mut Faults<'_>) {
        let found = self.value.get_ref().type_str();
        let message = format!(
            "found {} {found}; expected {expected}, like `{} = {like}`",
            if found.starts_with(['a', 'i']) {
                "an"
            } else {
                "a"
            },
            self.word
        );
        faults.at(self.span(), message);
    }
}

/// Somebody's word within a message: short.
pub(super) fn shown(text: &str) -> String {
    let end = text.floor_char_boundary(SHOWN_BYTES);
    let cut = if end < text.len() { "…" } else { "" };
    format!("{}{cut}", &text[..end])
}

/// What a length of time in other people's words would be in ours: `10 minutes` is `10m`.
fn length_meant(text: &str) -> String {
    let mut meant = String::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        let after = after.trim_start();
        let letters = after.len() - after.trim_start_matches(char::is_alphabetic).len();
        let (unit, after) = after.split_at(letters);
        let unit = unit.to_lowercase();
        let known = UNITS
            .iter()
            .find(|(names, _)| names.contains(&unit.as_str()));
        let Some((_, unit)) = known.filter(|_| !number.is_empty()) else {
            return String::new();
        };
        meant.extend([number, unit]);
        rest = after.trim_start();
    }
    match meant.parse::<DurationMs>() {
        Ok(_) => format!("; did you mean `{meant}`?"),
        Err(_) => String::new(),
    }
}

const UNITS: &[(&[&str], &str)] = &[
    (&["d", "day", "days"], "d"),
    (&["h", "hr", "hrs", "hour", "hours"], "h"),
    (&["m", "min", "mins", "minute", "minutes"], "m"),
    (&["s", "sec", "secs", "second", "seconds"], "s"),
    (&["ms", "millisecond", "milliseconds"], "ms"),
];

/// Words that belong to no table.
const ABOVE_TABLES: &[&str] = &["enroll"];

const SHOWN_BYTES: usize = 64;
