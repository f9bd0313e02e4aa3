//! Which rows a lease or request counts to, and what they are called.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    rc::Rc,
};

use serde::Serialize;
use usher_engine::policy::{Policy, Subject, SubjectKey, fold};
use usher_protocol::wire::Holder;

use super::{Names, row::Row};

/// What a row of a report is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// A feature of a vendor.
    Feature,
    /// A user, wherever.
    User,
    /// A group of the policy; who is in several counts in each.
    Group,
    /// A host, by its own word.
    Host,
}

/// What kind of row it is. Features and users are always counted: every report tells of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Axis {
    Feature,
    User,
    Group,
    Host,
}

/// A row's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowId(usize);

/// All rows, in the order in which they came up.
#[derive(Debug)]
pub(super) struct Rows {
    by: By,
    policy: Policy,
    names: Names,
    slices_max: usize,
    index: HashMap<(Axis, String), RowId>,
    list: Vec<(Axis, String, Row)>,
}

/// Who asks, as far as it is known.
pub(super) struct Asker<'a> {
    pub(super) holder: &'a Holder,
    pub(super) client: SubjectKey,
    pub(super) address: Option<IpAddr>,
}

impl Rows {
    pub(super) fn new(by: By, policy: Policy, names: Names, slices_max: usize) -> Self {
        Self {
            by,
            policy,
            names,
            slices_max,
            index: HashMap::new(),
            list: Vec::new(),
        }
    }

    /// The rows that a lease or request counts to; its feature's is the first.
    pub(super) fn of(&mut self, feature: &str, asker: &Asker<'_>) -> Rc<[RowId]> {
        let holder = asker.holder;
        // Two spellings of one name are one user, as in the policy.
        let (user, host) = (fold(&holder.user), fold(&holder.host));
        let mut ids = vec![self.id(Axis::Feature, feature), self.id(Axis::User, &user)];
        match self.by {
            By::Feature | By::User => {}
            By::Host => ids.push(self.id(Axis::Host, &host)),
            By::Group => {
                for name in self.groups(asker) {
                    ids.push(self.id(Axis::Group, &name));
                }
            }
        }
        ids.into()
    }

    pub(super) fn row(&mut self, id: RowId) -> &mut Row {
        &mut self.list[id.0].2
    }

    /// The name of the feature of something that counts to these rows.
    pub(super) fn feature_name(&self, rows: &[RowId]) -> &str {
        rows.first().map_or("", |id| self.list[id.0].1.as_str())
    }

    /// All rows of each kind, by the names that are shown; the order says nothing of what a pseudonym hides.
    pub(super) fn end(&mut self) -> BTreeMap<Axis, Vec<(String, Row)>> {
        let mut rows: BTreeMap<Axis, Vec<(String, Row)>> = BTreeMap::new();
        for (axis, name, row) in self.list.drain(..) {
            let shown = match axis {
                Axis::User => self.names.user(&name),
                Axis::Host => self.names.host(&name),
                Axis::Feature | Axis::Group => name,
            };
            rows.entry(axis).or_default().push((shown, row));
        }
        for rows in rows.values_mut() {
            rows.sort_by(|a, b| a.0.cmp(&b.0));
        }
        rows
    }

    fn groups(&self, asker: &Asker<'_>) -> Vec<String> {
        let subject = Subject {
            client: asker.client,
            user: &asker.holder.user,
            host: &asker.holder.host,
            address: asker.address,
        };
        let names = self.policy.groups_of(&subject);
        if names.is_empty() {
            return vec![NO_GROUP.to_owned()];
        }
        names.into_iter().map(str::to_owned).collect()
    }

    fn id(&mut self, axis: Axis, name: &str) -> RowId {
        if let Some(id) = self.index.get(&(axis, name.to_owned())) {
            return *id;
        }
        let id = RowId(self.list.len());
        let row = match axis {
            Axis::Feature => Row::charted(self.slices_max),
            _ => Row::default(),
        };
        self.list.push((axis, name.to_owned(), row));
        self.index.insert((axis, name.to_owned()), id);
        id
    }
}

/// No group can have this name.
const NO_GROUP: &str = "(no group)";
