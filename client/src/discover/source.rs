//! Decides which sources are asked, and in which order: a given address, `USHER_SERVER`, the
//! configuration file, the last good server, the DNS, the local network. What a person has named wins
//! outright: asked for lic01, usher never silently takes lic02.

use super::address::{Address, MalformedAddress};
use super::candidate::Origin;
use super::domain::{Domain, MalformedDomain};

/// One way to come to servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Known addresses, the preferred one first.
    Addresses(Origin, Vec<Address>),
    /// What the DNS lists under this domain.
    Dns(Domain),
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
    /// The domain under which the DNS is asked. Where nobody names one, no question leaves for the DNS: what a
    /// network's search domains say is not taken for a wish.
    pub domain: DomainWishes<'a>,
    /// Whether the local network may be asked.
    pub mdns: bool,
}

/// Who may name a domain; the first who does counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct DomainWishes<'a> {
    /// On the command line or in the program.
    pub explicit: Option<&'a str>,
    /// `USHER_DOMAIN`; empty is as good as unset.
    pub environment: Option<&'a str>,
    /// In the configuration file.
    pub configuration: Option<&'a str>,
}

/// What nobody can read, and who said it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadWish {
    /// An address.
    #[error("server address ({origin}): {cause}")]
    Address {
        /// Where it was written.
        origin: Origin,
        /// What is wrong with it.
        cause: MalformedAddress,
    },
    /// A domain.
    #[error("domain ({}): {cause}", if *.origin == Origin::Environment { "USHER_DOMAIN".to_owned() } else { .origin.to_string() })]
    Domain {
        /// Where it was written.
        origin: Origin,
        /// What is wrong with it.
        cause: MalformedDomain,
    },
}

impl BadWish {
    /// Where it was written.
    pub fn origin(&self) -> Origin {
        match self {
            Self::Address { origin, .. } | Self::Domain { origin, .. } => *origin,
        }
    }
}

impl Wishes<'_> {
    /// The sources to ask, in order. Only the first level that names any server counts; without one
    /// it is the last good server, then the DNS, then the local network. May be empty, when nothing is named
    /// and mDNS is off.
    ///
    /// # Errors
    /// The level that counts holds a malformed address, or the domain is none.
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
            let addresses = addresses.map_err(|cause| BadWish::Address { origin, cause })?;
            return Ok(vec![Source::Addresses(origin, addresses)]);
        }
        let mut sources = Vec::new();
        if !self.last_good.is_empty() {
            sources.push(Source::Addresses(Origin::LastGood, self.last_good));
        }
        sources.extend(self.domain.chosen()?.map(Source::Dns));
        if self.mdns {
            sources.push(Source::Mdns);
        }
        Ok(sources)
    }
}

impl DomainWishes<'_> {
    fn chosen(self) -> Result<Option<Domain>, BadWish> {
        let environment = self.environment.filter(|text| !text.trim().is_empty());
        let named = [
            (Origin::Explicit, self.explicit),
            (Origin::Environment, environment),
            (Origin::Configuration, self.configuration),
        ];
        let first = named.into_iter().find_map(|(o, text)| Some((o, text?)));
        let Some((origin, text)) = first else {
            return Ok(None);
        };
        let domain = text.parse();
        domain
            .map(Some)
            .map_err(|cause| BadWish::Domain { origin, cause })
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
            Source::Dns(domain) => format!("DNS: {domain}"),
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
            domain: DomainWishes::default(),
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

    #[test]
    fn the_dns_comes_after_the_last_good_server_and_before_mdns_and_only_where_a_domain_is_named() {
        let chosen = |domain| {
            texts(
                &Wishes {
                    domain,
                    ..all(&[], None, &[])
                }
                .into_sources()
                .unwrap(),
            )
        };
        let mut domain = DomainWishes {
            explicit: None,
            environment: Some(" "),
            configuration: Some("c.example"),
        };
        assert_eq!(
            chosen(domain),
            ["last good: old:27443", "DNS: c.example", "mDNS"]
        );
        domain.environment = Some("b.example.");
        assert_eq!(chosen(domain)[1], "DNS: b.example");
        domain.explicit = Some("a.example");
        assert_eq!(chosen(domain)[1], "DNS: a.example");
        let named = ["a".to_owned()];
        let wishes = Wishes {
            domain,
            ..all(&named, None, &[])
        };
        assert_eq!(texts(&wishes.into_sources().unwrap()), ["given: a:27443"]);
    }

    #[test]
    fn a_malformed_domain_says_where_it_stands() {
        let domain = DomainWishes {
            environment: Some("a b"),
            ..DomainWishes::default()
        };
        let bad = Wishes {
            domain,
            ..Wishes::default()
        }
        .into_sources()
        .unwrap_err();
        insta::assert_snapshot!(bad, @r#"domain (USHER_DOMAIN): "a b" is not a domain: it has characters that no domain has; write it like example.com"#);
    }
}
