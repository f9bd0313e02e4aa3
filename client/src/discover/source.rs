//! Decides which sources are asked, and in which order: a given address, `USHER_SERVER`, the
//! configuration file, the last good server, the local network. What a person has named wins
//! outright: asked for lic01, usher never silently takes lic02.

use super::address::{Address, MalformedAddress};
use super::candidate::Origin;

/// One way to come to servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Known addresses, the preferred one first.
    Addresses(Origin, Vec<Address>),
    /// The local network.
    Mdns,
}

/// Everything that may say where a server is.
#[derive(Clone, Debug, Default)]
pub struct Wishes<'a> {
    /// Addresses given on the command line or in the program.
    pub explicit: &'a [String],
    /// `USHER_SERVER`: one address or several with commas; empty is as good as unset.
    pub environment: Option<&'a str>,
    /// Addresses from the configuration file.
    pub configuration: &'a [String],
    /// What [`recall`](super::last_good::recall) gave.
    pub last_good: Vec<Address>,
    /// Whether the local network may be asked.
    pub mdns: bool,
}

/// An address nobody can read, and who said it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("server address ({origin}): {cause}")]
pub struct BadWish {
    /// Where it was written.
    pub origin: Origin,
    /// What is wrong with it.
    pub cause: MalformedAddress,
}

impl Wishes<'_> {
    /// The sources to ask, in order. Only the first level that names anything counts; without one
    /// it is the last good server and then the local network. May be empty, when nothing is named
    /// and mDNS is off.
    ///
    /// # Errors
    /// The level that counts holds a malformed address.
    pub fn into_sources(self) -> Result<Vec<Source>, BadWish> {
        let environment: Vec<String> = match self.environment.map(str::trim) {
            None | Some("") => Vec::new(),
            Some(list) => list.split(',').map(str::to_owned).collect(),
        };
        let named = [
            (Origin::Explicit, self.explicit),
            (Origin::Environment, &environment),
            (Origin::Configuration, self.configuration),
        ];
        if let Some((origin, texts)) = named.into_iter().find(|(_, texts)| !texts.is_empty()) {
            let addresses = texts
                .iter()
                .map(|text| text.parse())
                .collect::<Result<_, _>>();
            let addresses = addresses.map_err(|cause| BadWish { origin, cause })?;
            return Ok(vec![Source::Addresses(origin, addresses)]);
        }
        let mut sources = Vec::new();
        if !self.last_good.is_empty() {
            sources.push(Source::Addresses(Origin::LastGood, self.last_good));
        }
        if self.mdns {
            sources.push(Source::Mdns);
        }
        Ok(sources)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sources: &[Source]) -> Vec<String> {
        let text = |source: &Source| match source {
            Source::Addresses(origin, addresses) => {
                let list: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                format!("{origin}: {}", list.join(" "))
            }
            Source::Mdns => "mDNS".to_owned(),
        };
        sources.iter().map(text).collect()
    }

    fn all<'a>(explicit: &'a [String], env: Option<&'a str>, conf: &'a [String]) -> Wishes<'a> {
        Wishes {
            explicit,
            environment: env,
            configuration: conf,
            last_good: vec!["old".parse().unwrap()],
            mdns: true,
        }
    }

    #[test]
    fn the_first_level_that_names_anything_counts() {
        let (a, c) = (["a".to_owned()], ["c".to_owned(), "d:5".to_owned()]);
        let chosen = |wishes: Wishes<'_>| texts(&wishes.into_sources().unwrap());
        assert_eq!(chosen(all(&a, Some("b"), &c)), ["given: a:27443"]);
        assert_eq!(
            chosen(all(&[], Some("b, e"), &c)),
            ["USHER_SERVER: b:27443 e:27443"]
        );
        assert_eq!(
            chosen(all(&[], Some(" "), &c)),
            ["configuration file: c:27443 d:5"]
        );
        assert_eq!(
            chosen(all(&[], None, &[])),
            ["last good: old:27443", "mDNS"]
        );
        assert!(Wishes::default().into_sources().unwrap().is_empty());
    }

    #[test]
    fn a_malformed_address_says_where_it_stands() {
        let bad = all(&[], Some("x y"), &[]).into_sources().unwrap_err();
        insta::assert_snapshot!(bad, @r#"server address (USHER_SERVER): "x y" is not a server address: the host name has characters no host name has; write it like lic01, lic01:27443 or [2001:db8::7]:27443"#);
    }
}
