//! Whom a rule names: users, hosts, client keys, networks and groups of them.
//!
//! Decides whether a subject is named. What follows from it is [`super::Policy`]'s to say.

use std::{
    borrow::Cow,
    collections::{BTreeSet, btree_set},
    net::IpAddr,
};

use usher_protocol::ids::{Fingerprint, PublicKey};

use super::{
    network::{Network, NetworkError},
    pattern::{Names, PatternError, fold},
};

/// Somebody who asks. User and host are the client's own words (T6); its key is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject<'a> {
    /// The workstation's key.
    pub client: SubjectKey,
    /// The client's own word.
    pub user: &'a str,
    /// The client's own word.
    pub host: &'a str,
    /// Where it asks from, when that is known. A rule that names networks names nobody without.
    pub address: Option<IpAddr>,
}

/// A client key that may be in a list of them. Its fingerprint is made only where there is a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectKey {
    /// A key that nobody has seen: it is in no list.
    Unseen,
    /// The key itself.
    Key(PublicKey),
    /// All that is known of it.
    Fingerprint(Fingerprint),
}

impl SubjectKey {
    fn is_in(&self, keys: &BTreeSet<Fingerprint>) -> bool {
        if keys.is_empty() {
            return false;
        }
        match self {
            Self::Unseen => false,
            Self::Key(key) => keys.contains(&key.fingerprint()),
            Self::Fingerprint(fingerprint) => keys.contains(fingerprint),
        }
    }
}

impl From<Option<PublicKey>> for SubjectKey {
    fn from(key: Option<PublicKey>) -> Self {
        key.map_or(Self::Unseen, Self::Key)
    }
}

impl From<PublicKey> for SubjectKey {
    fn from(key: PublicKey) -> Self {
        Self::Key(key)
    }
}

impl From<Fingerprint> for SubjectKey {
    fn from(fingerprint: Fingerprint) -> Self {
        Self::Fingerprint(fingerprint)
    }
}

/// A subject as it is compared; made once per question.
pub(super) struct Folded<'a> {
    client: SubjectKey,
    user: Cow<'a, str>,
    host: Cow<'a, str>,
    address: Option<IpAddr>,
}

impl<'a> Folded<'a> {
    pub(super) fn of(who: &Subject<'a>) -> Self {
        Self {
            client: who.client,
            user: fold(who.user),
            host: fold(who.host),
            address: who.address.map(|address| address.to_canonical()),
        }
    }
}

/// A named set of subjects. A member matches any entry, or is a member of one of its groups.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct PolicyGroup {
    /// What rules call it.
    pub name: String,
    /// The line it begins at, from 1.
    pub line: u32,
    /// Its own entries.
    pub members: Members,
    /// The groups within it, by their places in [`super::Policy::groups`].
    pub groups: Vec<usize>,
}

/// Entries of a group or of a rule's `who`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Members {
    /// By user name.
    pub users: Names,
    /// By host name.
    pub hosts: Names,
    /// By client key: the only ones that nobody can claim to be.
    pub keys: BTreeSet<Fingerprint>,
    /// By network.
    pub networks: Vec<Network>,
}

impl Members {
    fn contain(&self, who: &Folded<'_>) -> bool {
        let inside = |address| self.networks.iter().any(|it| it.contains(address));
        self.users.contain(&who.user)
            || self.hosts.contain(&who.host)
            || who.client.is_in(&self.keys)
            || who.address.is_some_and(inside)
    }
}

/// Whom a rule is about.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub enum Who {
    /// Everybody: the rule has no `who`.
    #[default]
    Everybody,
    /// These.
    Named(Box<Named>),
}

/// The words of a `who`, and what they mean.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Named {
    words: BTreeSet<String>,
    members: Members,
    /// With the groups within them.
    groups: BTreeSet<usize>,
}

/// Why a word names nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WhoError {
    /// No group has this name.
    #[error("there is no group `{0}`")]
    UnknownGroup(String),
    /// Something stands before the colon that is no kind of member.
    #[error(
        "`{0}:` is unknown; expected the name of a group, or `user:…`, `host:…`, `key:…`, `network:…`"
    )]
    UnknownKind(String),
    /// A pattern that cannot match.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// Not a key.
    #[error(
        "not a client key: expected the 64 hexadecimal digits of its fingerprint, or `ed25519:…` in full"
    )]
    Key,
    /// Not a network.
    #[error(transparent)]
    Network(#[from] NetworkError),
}

impl Who {
    /// All of `words`: names of `groups`, or `user:PATTERN`, `host:PATTERN`, `key:HEX`, `network:CIDR`.
    ///
    /// # Errors
    /// [`WhoError`] of the first word that names nobody.
    pub fn of(words: &[&str], groups: &[PolicyGroup]) -> Result<Self, WhoError> {
        let mut named = Named::default();
        for word in words {
            named.add(word, groups)?;
        }
        Ok(Self::Named(Box::new(named)))
    }

    /// Whether every subject that `other` names is named here as well; never said wrongly, but not
    /// always found out.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Everybody, _) => true,
            (Self::Named(_), Self::Everybody) => false,
            (Self::Named(all), Self::Named(some)) => some.words.is_subset(&all.words),
        }
    }

    pub(super) fn names(&self, who: &Folded<'_>, groups: &[PolicyGroup]) -> bool {
        match self {
            Self::Everybody => true,
            Self::Named(named) => {
                let is_member = |index: &usize| {
                    let group = groups.get(*index);
                    group.is_some_and(|group| group.members.contain(who))
                };
                named.members.contain(who) || named.groups.iter().any(is_member)
            }
        }
    }
}

impl Named {
    /// Adds one word of a `who`.
    ///
    /// # Errors
    /// [`WhoError`]; nothing is added then.
    pub fn add(&mut self, word: &str, groups: &[PolicyGroup]) -> Result<(), WhoError> {
        match word.split_once(':') {
            None => self.add_group(word, groups)?,
            Some(("user", pattern)) => self.members.users.add(pattern)?,
            Some(("host", pattern)) => self.members.hosts.add(pattern)?,
            Some(("key", text)) => {
                let key = client_key(text)?;
                self.members.keys.insert(key);
                self.words.insert(format!("key:{key}"));
                return Ok(());
            }
            Some(("network", text)) => self.members.networks.push(text.parse()?),
            Some((kind, _)) => return Err(WhoError::UnknownKind(kind.to_owned())),
        }
        self.words.insert(canonical(word));
        Ok(())
    }

    /// The words, in order, as they are compared.
    pub fn words(&self) -> btree_set::Iter<'_, String> {
        self.words.iter()
    }

    /// Takes the group and all within it; a cycle ends where it began.
    fn add_group(&mut self, name: &str, groups: &[PolicyGroup]) -> Result<(), WhoError> {
        let place = groups.iter().position(|group| group.name == name);
        let mut open = vec![place.ok_or_else(|| WhoError::UnknownGroup(name.to_owned()))?];
        while let Some(index) = open.pop() {
            if self.groups.insert(index) {
                let within = groups.get(index).map(|group| group.groups.as_slice());
                open.extend(within.unwrap_or_default());
            }
        }
        Ok(())
    }
}

/// A client key, by its fingerprint or as it is.
///
/// # Errors
/// [`WhoError::Key`].
pub fn client_key(text: &str) -> Result<Fingerprint, WhoError> {
    match text.parse::<PublicKey>() {
        Ok(key) => Ok(key.fingerprint()),
        Err(_) => text.parse().map_err(|_| WhoError::Key),
    }
}

/// Names of groups are what they are; all else is compared folded.
fn canonical(word: &str) -> String {
    if word.contains(':') {
        fold(word).into_owned()
    } else {
        word.to_owned()
    }
}
