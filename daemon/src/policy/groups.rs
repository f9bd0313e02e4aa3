//! `[groups.NAME]`: who is in which group, and that no group is within itself.

use std::ops::Range;

use toml::de::DeTable;
use usher_engine::policy::{Members, PolicyGroup, client_key, limits};

use super::{
    error::Faults,
    suggest::did_you_mean,
    table::{Fields, Word, shown},
};

/// The groups in the order of the file.
pub(super) struct Groups {
    pub(super) list: Vec<PolicyGroup>,
}

/// Reads all groups.
pub(super) fn read(root: &Fields<'_>, faults: &mut Faults<'_>) -> Groups {
    let mut groups = Groups { list: Vec::new() };
    let Some(word) = root.value("groups") else {
        return groups;
    };
    let Some(table) = word.table() else {
        let message = "groups have names; expected tables that begin with `[groups.NAME]`";
        faults.at(word.span(), message);
        return groups;
    };
    let mut within = Vec::new();
    for (name, span, fields) in tables(table, faults) {
        check_name(name, span.clone(), faults);
        within.push(fields.value("groups"));
        groups.list.push(PolicyGroup {
            name: name.to_owned(),
            line: faults.line(span.start),
            members: members(&fields, faults),
            groups: Vec::new(),
        });
    }
    if groups.list.len() > limits::GROUPS_MAX {
        let message = format!(
            "{} groups, over the limit of {}",
            groups.list.len(),
            limits::GROUPS_MAX
        );
        faults.at(word.span(), message);
        return groups;
    }
    let spans = groups.nest(&within, faults);
    groups.refuse_cycles(&spans, faults);
    groups
}

type Named<'a> = (&'a str, Range<usize>, Fields<'a>);

fn tables<'a>(groups: &'a DeTable<'a>, faults: &mut Faults<'_>) -> Vec<Named<'a>> {
    let mut tables = Vec::new();
    for (name, span, value) in Fields::of_all(groups).entries() {
        let Some(table) = value.get_ref().as_table() else {
            let message = format!(
                "`{}` is no table; expected `[groups.{}]` with `users`, `hosts`, `keys`, `networks` or `groups`",
                shown(name),
                shown(name)
            );
            faults.at(value.span(), message);
            continue;
        };
        let fields = Fields::of(table, span.clone(), WORDS, faults);
        if table.is_empty() {
            let message = format!(
                "the group `{}` says nothing; expected `users`, `hosts`, `keys`, `networks` or `groups` (`users = []` for nobody)",
                shown(name)
            );
            faults.at(span.clone(), message);
        }
        tables.push((name, span, fields));
    }
    tables
}

fn check_name(name: &str, span: Range<usize>, faults: &mut Faults<'_>) {
    let fits = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > limits::GROUP_BYTES_MAX {
        let max = limits::GROUP_BYTES_MAX;
        let message = format!("a group's name has 1 to {max} bytes, not {}", name.len());
        faults.at(span, message);
    } else if let Some(c) = name.chars().find(|c| !fits(*c)) {
        let message = format!("a group's name has letters, digits and `-_.`, not {c:?}");
        faults.at(span, message);
    }
}

fn members(fields: &Fields<'_>, faults: &mut Faults<'_>) -> Members {
    let mut members = Members::default();
    each(fields, "users", "[\"ann\", \"bob*\"]", faults, |text| {
        members.users.add(text).map_err(|error| error.to_string())
    });
    each(fields, "hosts", "[\"ws-*\"]", faults, |text| {
        members.hosts.add(text).map_err(|error| error.to_string())
    });
    each(
        fields,
        "keys",
        "[\"<64 hexadecimal digits>\"]",
        faults,
        |text| {
            let key = client_key(text).map_err(|error| error.to_string())?;
            members.keys.insert(key);
            Ok(())
        },
    );
    each(fields, "networks", "[\"10.1.0.0/16\"]", faults, |text| {
        let network = text.parse();
        members.networks.extend(&network.ok());
        network
            .map(|_| ())
            .map_err(|error: usher_engine::policy::NetworkError| error.to_string())
    });
    members
}

fn each(
    fields: &Fields<'_>,
    word: &'static str,
    like: &str,
    faults: &mut Faults<'_>,
    mut add: impl FnMut(&str) -> Result<(), String>,
) {
    let list = fields.value(word).and_then(|word| word.list(like, faults));
    for (text, span) in list.into_iter().flatten() {
        if let Err(message) = add(text) {
            faults.at(span, message);
        }
    }
}

impl Groups {
    /// Puts groups into groups; gives the place where each group first names others.
    fn nest(&mut self, within: &[Option<Word<'_>>], faults: &mut Faults<'_>) -> Vec<Range<usize>> {
        let mut spans = Vec::new();
        for (index, word) in within.iter().enumerate() {
            spans.push(word.map_or(0..0, |word| word.span()));
            let list = word.and_then(|word| word.list("[\"day-shift\"]", faults));
            for (name, span) in list.into_iter().flatten() {
                match self.list.iter().position(|group| group.name == name) {
                    Some(inner) => self.list[index].groups.push(inner),
                    None => faults.at(span, self.unknown(name)),
                }
            }
        }
        spans
    }

    fn unknown(&self, name: &str) -> String {
        let names = self.list.iter().map(|group| group.name.as_str());
        let hint = did_you_mean(name, names);
        format!("there is no group `{}`{hint}", shown(name))
    }

    /// Each cycle is told once, at the group of it that comes first.
    fn refuse_cycles(&self, spans: &[Range<usize>], faults: &mut Faults<'_>) {
        let mut done = vec![false; self.list.len()];
        for start in 0..self.list.len() {
            if let Some(cycle) = self.cycle_from(start, &mut done) {
                let names: Vec<_> = cycle.iter().map(|it| shown(&self.list[*it].name)).collect();
                let message = format!(
                    "a group cannot be within itself: {} → {}; take one of them out",
                    names.join(" → "),
                    names[0]
                );
                faults.at(spans[cycle[0]].clone(), message);
            }
        }
    }

    /// The first cycle met on the way down from `start`; what was seen is not looked at again.
    fn cycle_from(&self, start: usize, done: &mut [bool]) -> Option<Vec<usize>> {
        let mut path: Vec<(usize, usize)> = Vec::new();
        if !std::mem::replace(&mut done[start], true) {
            path.push((start, 0));
        }
        let mut found = None;
        while let Some((group, next)) = path.last_mut() {
            let Some(inner) = self.list[*group].groups.get(*next).copied() else {
                path.pop();
                continue;
            };
            *next += 1;
            let on_path = path.iter().position(|(group, _)| *group == inner);
            if let Some(at) = on_path {
                found = found.or_else(|| Some(path[at..].iter().map(|it| it.0).collect()));
            } else if !std::mem::replace(&mut done[inner], true) {
                path.push((inner, 0));
            }
        }
        found
    }
}

const WORDS: &[&str] = &["users", "hosts", "keys", "networks", "groups"];
