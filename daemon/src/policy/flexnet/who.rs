//! `USER bob`, `HOST_GROUP lab`: the subjects of an options file, in a policy's words.

use usher_engine::policy::{Names, Network};

/// Whom a statement names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Spec {
    /// One entry of a `who`: `user:bob`, `host:ws-1`, `network:10.1.0.0/16`.
    Word(String),
    /// A `GROUP`.
    UserGroup(String),
    /// A `HOST_GROUP`.
    HostGroup(String),
    /// Every user by himself (`MAX` alone).
    AllUsers,
    /// Every `GROUP` by itself (`MAX` alone).
    AllGroups,
}

/// Reads a type and a name.
///
/// # Errors
/// Why a policy has no word for it.
pub(super) fn spec(kind: &str, name: &str) -> Result<Spec, String> {
    match kind.to_ascii_uppercase().as_str() {
        "USER" if name == "ALL_USERS" => Ok(Spec::AllUsers),
        "GROUP" if name == "ALL_GROUPS" => Ok(Spec::AllGroups),
        "USER" => user(name).map(|name| Spec::Word(format!("user:{name}"))),
        "HOST" => host(name).map(|member| Spec::Word(member.word())),
        "INTERNET" => network(name).map(|network| Spec::Word(format!("network:{network}"))),
        "GROUP" => Ok(Spec::UserGroup(name.to_owned())),
        "HOST_GROUP" => Ok(Spec::HostGroup(name.to_owned())),
        "DISPLAY" => Err("a policy does not tell displays apart: a display is no more than the client's own word; name the user or the host".to_owned()),
        "PROJECT" => Err("there are no projects here: anybody could claim one; name the users or their client keys in a group".to_owned()),
        _ => Err(format!("`{kind}` is no type of FlexNet; expected USER, HOST, INTERNET, GROUP or HOST_GROUP")),
    }
}

/// A user's name.
pub(super) fn user(name: &str) -> Result<&str, String> {
    plain(name)?;
    Ok(name)
}

/// A host, by its name or by its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    Name(String),
    Network(Network),
}

impl Host {
    fn word(&self) -> String {
        match self {
            Self::Name(name) => format!("host:{name}"),
            Self::Network(network) => format!("network:{network}"),
        }
    }
}

/// A host's name, or its address with or without wildcards.
pub(super) fn host(name: &str) -> Result<Host, String> {
    if let Ok(network) = network(name) {
        return Ok(Host::Network(network));
    }
    plain(name)?;
    Ok(Host::Name(name.to_owned()))
}

/// An address; a `*` stands for a whole number, and only numbers at the end may be one.
fn network(text: &str) -> Result<Network, String> {
    let wrong = || {
        format!(
            "`{text}` is no network; only whole numbers at the end of an address can be `*`: write `network:…` by hand"
        )
    };
    if !text.contains('*') {
        return text.parse().map_err(|_| wrong());
    }
    let (separator, count, bits_each) = if text.contains(':') {
        (':', 8, 16)
    } else {
        ('.', 4, 8)
    };
    let mut parts: Vec<&str> = text.split(separator).collect();
    let fixed = parts.iter().take_while(|part| **part != "*").count();
    if parts.len() != count || parts[fixed..].iter().any(|part| *part != "*") {
        return Err(wrong());
    }
    parts[fixed..].fill("0");
    let first = parts.join(&separator.to_string());
    let network = format!("{first}/{}", fixed * bits_each);
    network.parse().map_err(|_| wrong())
}

/// In an options file `*` and `?` stand for themselves.
fn plain(name: &str) -> Result<(), String> {
    if name.contains(['*', '?']) {
        return Err(format!(
            "`{name}` has `*` or `?`, which match only themselves there and other characters here; if a pattern was meant, write it by hand"
        ));
    }
    Names::default()
        .add(name)
        .map_err(|error| format!("`{name}` is no name here: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_wildcards_become_networks() {
        for (text, expected) in [
            ("10.1.2.3", "10.1.2.3/32"),
            ("10.1.*.*", "10.1.0.0/16"),
            ("*.*.*.*", "0.0.0.0/0"),
            ("fd00::1", "fd00::1/128"),
            ("fd00:1:*:*:*:*:*:*", "fd00:1::/32"),
        ] {
            assert_eq!(network(text).unwrap().to_string(), expected);
        }
        for text in ["10.*", "10.*.1.*", "10.1*.*.*", "10.1.2.3.*", "lab", ""] {
            assert!(network(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_a_policy_has_no_word_for_says_why() {
        assert!(spec("DISPLAY", "x:0").unwrap_err().contains("displays"));
        assert!(spec("PROJECT", "x").unwrap_err().contains("projects"));
        assert!(spec("USERS", "bob").unwrap_err().contains("no type"));
        assert!(spec("USER", "b*").unwrap_err().contains("by hand"));
        let word = |text: &str| Ok(Spec::Word(text.to_owned()));
        assert_eq!(spec("host", "ws-1"), word("host:ws-1"));
        assert_eq!(spec("HOST", "10.1.*.*"), word("network:10.1.0.0/16"));
    }
}
