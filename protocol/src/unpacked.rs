//! Remembers public keys that were unpacked a moment ago: the point behind 32 bytes costs a square root, a tenth of a
//! verification, and one connection shows the same two keys with each message.
//!
//! It decides nothing: what is remembered is what unpacking the same bytes again would give. Only good keys are
//! remembered (T1), so nobody gains by asking often.

use std::cell::RefCell;

use ed25519_dalek::VerifyingKey;

use crate::ids::KeyError;

/// The point behind these bytes, if it is one and not of small order (T1).
pub(crate) fn unpacked(bytes: &[u8; 32]) -> Result<VerifyingKey, KeyError> {
    RECENT.with_borrow_mut(|recent| {
        let place = &mut recent[usize::from(bytes[0]) % KEYS];
        if let Some(key) = place
            && key.as_bytes() == bytes
        {
            return Ok(*key);
        }
        let key = unpack(bytes)?;
        *place = Some(key);
        Ok(key)
    })
}

fn unpack(bytes: &[u8; 32]) -> Result<VerifyingKey, KeyError> {
    let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotAPoint)?;
    if key.is_weak() {
        Err(KeyError::Weak)
    } else {
        Ok(key)
    }
}

thread_local! {
    /// Keys are as good as random, so their first byte spreads them. Together 13 KiB a thread.
    static RECENT: RefCell<[Option<VerifyingKey>; KEYS]> = const { RefCell::new([None; KEYS]) };
}

const KEYS: usize = 64;

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;

    #[test]
    fn keys_that_share_a_place_are_told_apart() {
        let mut met = [0_usize; KEYS];
        for seed in 0..=255 {
            let key = SigningKey::from_bytes(&[seed; 32]).verifying_key();
            met[usize::from(key.as_bytes()[0]) % KEYS] += 1;
            for _ in 0..2 {
                assert_eq!(unpacked(key.as_bytes()), Ok(key));
            }
            assert_eq!(unpacked(key.as_bytes()), unpack(key.as_bytes()));
        }
        assert!(met.iter().any(|keys| *keys > 1), "no two keys met");
    }

    #[test]
    fn each_place_is_used() {
        for seed in 0..=255 {
            let key = SigningKey::from_bytes(&[seed; 32]).verifying_key();
            assert_eq!(unpacked(key.as_bytes()), Ok(key));
        }
        let used = RECENT.with_borrow(|recent| recent.iter().flatten().count());
        assert!(used > KEYS / 2, "{used} of {KEYS}");
    }

    #[test]
    fn t1_a_bad_key_stays_bad_however_often_it_is_shown_and_whatever_stands_in_its_place() {
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut no_point = [0; 32];
        no_point[0] = 2;
        let good: Vec<_> = (0..=255)
            .map(|seed| SigningKey::from_bytes(&[seed; 32]).verifying_key())
            .collect();
        for _ in 0..2 {
            assert_eq!(unpacked(&identity), Err(KeyError::Weak));
            assert_eq!(unpacked(&no_point), Err(KeyError::NotAPoint));
            for key in &good {
                assert_eq!(unpacked(key.as_bytes()), Ok(*key));
            }
        }
        // One bit away from a key that is remembered.
        for key in &good {
            assert_eq!(unpacked(key.as_bytes()), Ok(*key));
            let mut other = *key.as_bytes();
            other[31] ^= 0x80;
            assert_ne!(unpacked(&other), Ok(*key));
            assert_eq!(unpacked(&other), unpack(&other));
        }
    }
}
