//! How users and hosts are called in a report: by their names, or by pseudonyms that only the key's holder can match.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Names as they are, or hidden.
#[derive(Debug, Default)]
pub struct Names {
    key: Option<Key>,
}

/// Never shown.
struct Key(Vec<u8>);

impl std::fmt::Debug for Key {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("(a key)")
    }
}

impl Names {
    /// Pseudonyms by this key: one key gives a name the same pseudonym in every report.
    pub fn hidden_by(key: Vec<u8>) -> Self {
        Self {
            key: Some(Key(key)),
        }
    }

    /// What a user is called.
    pub fn user(&self, name: &str) -> String {
        self.shown("user", name)
    }

    /// What a host is called.
    pub fn host(&self, name: &str) -> String {
        self.shown("host", name)
    }

    /// HMAC-SHA256 over kind and name: 48 bits keep apart the names of any site.
    fn shown(&self, kind: &str, name: &str) -> String {
        let hidden = self.key.as_ref().and_then(|key| {
            let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).ok()?;
            mac.update(DOMAIN);
            mac.update(kind.as_bytes());
            mac.update(&[0]);
            mac.update(name.as_bytes());
            Some(mac.finalize().into_bytes())
        });
        match (&self.key, hidden) {
            (None, _) => name.to_owned(),
            (Some(_), Some(hash)) => {
                format!("{kind}-{}", data_encoding::HEXLOWER.encode(&hash[..6]))
            }
            // HMAC takes keys of any length; were it otherwise, no name is told.
            (Some(_), None) => format!("{kind}-hidden"),
        }
    }
}

const DOMAIN: &[u8] = b"usher report pseudonym v1\0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pseudonym_depends_on_key_kind_and_name_and_shows_none_of_them() {
        let one = Names::hidden_by(vec![1; 32]);
        let same = Names::hidden_by(vec![1; 32]);
        let other = Names::hidden_by(vec![2; 32]);
        assert_eq!(one.user("anna"), same.user("anna"));
        assert_ne!(one.user("anna"), other.user("anna"));
        assert_ne!(one.user("anna"), one.user("bert"));
        let digits = |text: String| text.split_once('-').unwrap().1.to_owned();
        assert_ne!(digits(one.user("anna")), digits(one.host("anna")));
        assert!(!one.user("anna").contains("anna") && one.user("anna").len() == 17);
        assert_eq!(format!("{one:?}"), "Names { key: Some((a key)) }");
        assert_eq!(Names::default().user("anna"), "anna");
    }
}
