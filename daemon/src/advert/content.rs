//! Decides what the advert says: a few hints that let a client sort servers before it asks them.
//! Nothing in it is secret, and nothing in it is believed (T4).

use data_encoding::HEXLOWER;
use std::collections::BTreeSet;
use usher_protocol::ids::{Fingerprint, PublicKey};

/// The hints of the advert's TXT record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    site: String,
    roots: BTreeSet<String>,
}

impl Content {
    /// For the daemon of `site`, with the roots of the licenses it serves now.
    pub fn new<'a>(site: &PublicKey, roots: impl IntoIterator<Item = &'a Fingerprint>) -> Self {
        let roots = roots.into_iter().map(|root| HEXLOWER.encode(&root.0[..4]));
        Self {
            site: HEXLOWER.encode(&site.as_bytes()[..8]),
            roots: roots.collect(),
        }
    }

    /// First 16 hex digits of the site key, as `site=` has them.
    pub(super) fn site(&self) -> &str {
        &self.site
    }

    /// The name its address records go by. Not the machine's own name: another responder on this
    /// machine may hold that, with other records.
    pub(super) fn host(&self) -> String {
        // The letter keeps mdns-sd's `-2` on a conflict from counting up an all-digit key.
        format!("usher-s{}.local.", self.site)
    }

    /// The TXT record's keys and values.
    pub(crate) fn txt(&self) -> Vec<(&'static str, String)> {
        let roots: Vec<_> = self
            .roots
            .iter()
            .take(ROOTS_MAX)
            .map(String::as_str)
            .collect();
        vec![
            ("v", "1".to_owned()),
            ("roots", roots.join(",")),
            ("site", self.site.clone()),
        ]
    }
}

/// The instance name for a machine called `host`: its first label, cut to what one may hold.
pub fn host_label(host: &str) -> String {
    let label = host.split('.').next().unwrap_or_default();
    let mut end = label.len().min(LABEL_BYTES_MAX);
    while !label.is_char_boundary(end) {
        end -= 1;
    }
    match label[..end].trim() {
        "" => "usherd".to_owned(),
        label => label.to_owned(),
    }
}

/// A TXT string holds 255 bytes: `roots=` and 27 times eight digits and a comma.
const ROOTS_MAX: usize = 27;
/// A label holds 63; this leaves room for ` (2)`.
const LABEL_BYTES_MAX: usize = 56;

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::SigningKey;

    fn site() -> PublicKey {
        PublicKey::from(&SigningKey::from_bytes(&[7; 32]))
    }

    #[test]
    fn the_hints_have_the_documented_shape() {
        let roots = [Fingerprint([0xab; 32]), Fingerprint([0x01; 32])];
        let content = Content::new(&site(), &roots);
        let txt: Vec<_> = content
            .txt()
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        insta::assert_snapshot!(txt.join(" "), @"v=1 roots=01010101,abababab site=ea4a6c63e29c520a");
        assert_eq!(content.host(), format!("usher-s{}.local.", content.site()));
    }

    #[test]
    fn many_roots_fit_one_string() {
        let roots: Vec<_> = (0..200).map(|n| Fingerprint([n; 32])).collect();
        let txt = Content::new(&site(), &roots).txt();
        assert!(
            txt.iter()
                .all(|(key, value)| key.len() + 1 + value.len() <= 255)
        );
    }

    #[test]
    fn a_machines_name_becomes_one_label() {
        assert_eq!(host_label("lic01.example.com"), "lic01");
        assert_eq!(host_label(""), "usherd");
        assert_eq!(host_label(".x"), "usherd");
        assert!(host_label(&"ü".repeat(60)).len() <= 56);
    }
}
