//! What an administrator's words mean: which client key, which feature or license.
//!
//! It knows only what the engine lists. Whether such a thing may be done is the engine's to say.

use usher_engine::{
    api::{ClientView, LicenseView},
    record::SuspensionKey,
};
use usher_protocol::ids::{Fingerprint, PublicKey};

/// The client key that `word` names: the key in full, the name it was accepted under, or the first
/// digits of the fingerprint of one that is accepted or has knocked.
///
/// # Errors
/// A message for people.
pub(super) fn client(word: &str, known: &[ClientView]) -> Result<PublicKey, String> {
    if let Ok(key) = word.parse() {
        return Ok(key);
    }
    let named = known.iter().filter(|view| name(view) == Some(word));
    let found: Vec<PublicKey> = if is_prefix(word) {
        let begun = |view: &&ClientView| fingerprint(view).to_string().starts_with(word);
        known.iter().filter(begun).chain(named).map(key).collect()
    } else {
        named.map(key).collect()
    };
    match found.as_slice() {
        [] => Err(format!(
            "no client key is known as `{word}`; give the key in full (ed25519:…), or the name or at least 4 first digits that `usherd clients` shows"
        )),
        [first, rest @ ..] if rest.iter().all(|other| other == first) => Ok(*first),
        _ => Err(format!(
            "{} client keys are known as `{word}`; give more digits (usherd clients)",
            found.len()
        )),
    }
}

/// What is to be suspended or resumed, and its full name. A word without a slash is a license where
/// there is one of this id.
///
/// # Errors
/// A message for people.
pub(super) fn suspension(
    word: &str,
    licenses: &[LicenseView],
) -> Result<(SuspensionKey, String), String> {
    let (vendor, feature) = match word.split_once('/') {
        Some((vendor, feature)) => (Some(vendor), feature),
        None => (None, word),
    };
    let is_license = licenses.iter().any(|view| view.license.id.as_str() == word);
    let mut found: Vec<(SuspensionKey, String)> = licenses
        .iter()
        .filter(|_| !is_license)
        .filter(|view| vendor.is_none_or(|vendor| view.license.vendor.as_str() == vendor))
        .flat_map(|view| {
            let features = view.license.features.iter();
            let found = features.filter(|it| it.feature.as_str() == feature);
            found.map(|it| {
                let name = format!("{}/{}", view.license.vendor, it.feature);
                (SuspensionKey::Feature(view.root, it.feature.clone()), name)
            })
        })
        .collect();
    found.sort();
    found.dedup();
    match found.len() {
        0 => license(word, is_license),
        1 => Ok(found.remove(0)),
        _ => {
            let names: Vec<_> = found.into_iter().map(|(_, name)| name).collect();
            Err(format!(
                "several vendors have `{word}`; say which one: {}",
                names.join(", ")
            ))
        }
    }
}

/// One that was removed meanwhile may still be suspended; the engine knows.
fn license(word: &str, is_installed: bool) -> Result<(SuspensionKey, String), String> {
    let id = word
        .parse()
        .ok()
        .filter(|_| is_installed || !word.contains('/'));
    let id = id
        .ok_or_else(|| format!("no license here has the feature `{word}` (usherd license list)"))?;
    let name = format!("license {id}");
    Ok((SuspensionKey::License(id), name))
}

fn is_prefix(word: &str) -> bool {
    let digits = word
        .bytes()
        .all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
    digits && word.len() >= PREFIX_DIGITS_MIN
}

fn fingerprint(view: &ClientView) -> Fingerprint {
    key(view).fingerprint()
}

fn key(view: &ClientView) -> PublicKey {
    match view {
        ClientView::Accepted(accepted) => accepted.client,
        ClientView::Knocked { client, .. } => *client,
    }
}

fn name(view: &ClientView) -> Option<&str> {
    match view {
        ClientView::Accepted(accepted) => Some(&accepted.name),
        ClientView::Knocked { .. } => None,
    }
}

/// Fewer are a typing error rather than a choice.
const PREFIX_DIGITS_MIN: usize = 4;

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use usher_engine::record::EnrolledClient;
    use usher_protocol::time::{DurationMs, WallMs};

    use super::*;
    use crate::testing;

    fn a_key(seed: u8) -> PublicKey {
        PublicKey::from(&SigningKey::from_bytes(&[seed; 32]))
    }

    fn known() -> Vec<ClientView> {
        vec![
            ClientView::Accepted(EnrolledClient {
                client: a_key(1),
                name: "lab-7".to_owned(),
                since: WallMs(0),
            }),
            ClientView::Knocked {
                client: a_key(2),
                user: "lab-7".to_owned(),
                host: "ws2".to_owned(),
                address: std::net::Ipv4Addr::LOCALHOST.into(),
                ago_ms: DurationMs::ZERO,
            },
        ]
    }

    #[test]
    fn a_key_in_full_needs_no_acquaintance() {
        assert_eq!(client(&a_key(9).to_string(), &[]), Ok(a_key(9)));
    }

    #[test]
    fn digits_and_names_find_those_that_are_known() {
        let digits = |seed| a_key(seed).fingerprint().to_string();
        assert_eq!(client(&digits(2)[..8], &known()), Ok(a_key(2)));
        assert_eq!(client(&digits(1), &known()), Ok(a_key(1)));
        // The name an administrator gave, never the word of one that knocks.
        assert_eq!(client("lab-7", &known()), Ok(a_key(1)));
        for unknown in [
            "lab-8",
            "",
            &digits(9)[..8],
            &digits(2)[..3],
            "ed25519:AAAA",
        ] {
            let message = client(unknown, &known()).unwrap_err();
            assert!(message.contains("usherd clients"), "{message}");
        }
    }

    #[test]
    fn what_names_two_keys_names_none() {
        let digits = a_key(2).fingerprint().to_string();
        let mut known = known();
        known.push(ClientView::Accepted(EnrolledClient {
            client: a_key(3),
            name: digits[..4].to_owned(),
            since: WallMs(0),
        }));
        let message = client(&digits[..4], &known).unwrap_err();
        assert!(message.contains("2 client keys"), "{message}");
    }

    #[test]
    fn a_feature_is_named_with_or_without_its_vendor_and_a_license_by_its_id() {
        let license = testing::license(1, DurationMs::minutes(10));
        let root = license.root().fingerprint();
        let licenses = [LicenseView {
            license,
            root,
            idle_because: None,
        }];
        let feature = SuspensionKey::Feature(root, "solver".parse().unwrap());
        for word in ["acme/solver", "solver"] {
            let found = suspension(word, &licenses);
            assert_eq!(found, Ok((feature.clone(), "acme/solver".to_owned())));
        }
        let license = |id: &str| {
            let key = SuspensionKey::License(id.parse().unwrap());
            Ok((key, format!("license {id}")))
        };
        assert_eq!(suspension("acme-0001", &licenses), license("acme-0001"));
        // Suspended, then removed: it can still be resumed.
        assert_eq!(suspension("acme-0001", &[]), license("acme-0001"));
        for unknown in ["other/solver", "acme/mesher", "A B"] {
            assert!(suspension(unknown, &licenses).is_err(), "{unknown}");
        }
    }
}
