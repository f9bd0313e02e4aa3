//! Who is signed in: the digest of a random secret, and the token that was shown for it. In memory alone: a restart
//! signs everybody out.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest as _, Sha256};
use usher_client::clock::{BootMs, Now};
use usher_protocol::time::{DurationMs, WallMs};

use crate::{
    limits,
    tokens::{Register, Token},
};

/// All sessions.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<Digest, Session>>);

type Digest = [u8; 32];

#[derive(Debug)]
struct Session {
    token: String,
    /// When the token was made or rotated: a session ends with the secret that opened it.
    token_created: WallMs,
    used: BootMs,
}

impl Sessions {
    /// Signs a token in; the secret is for its browser alone. Past the bound, who was idle longest is signed out.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub(super) fn open(&self, token: &Token, now: BootMs) -> Result<String, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        let secret = BASE64URL_NOPAD.encode(&bytes);
        let mut sessions = self.lock();
        sessions.retain(|_, session| !session.is_over(now));
        if sessions.len() >= limits::HTTP_SESSIONS_MAX {
            let idle = sessions.iter().min_by_key(|(_, session)| session.used);
            let idle = idle.map(|(digest, _)| *digest);
            idle.and_then(|digest| sessions.remove(&digest));
        }
        let session = Session {
            token: token.id.clone(),
            token_created: token.created,
            used: now,
        };
        sessions.insert(digest(&secret), session);
        Ok(secret)
    }

    /// The token of a session that somebody uses now, if both still stand.
    pub(super) fn use_now(&self, secret: &str, register: &Register, now: Now) -> Option<Token> {
        let token = self.token(secret, register, now)?;
        if let Some(session) = self.lock().get_mut(&digest(secret)) {
            session.used = now.boot;
        }
        Some(token)
    }

    /// The same, where nobody need be there: a page that is left open keeps no session alive.
    pub(super) fn token(&self, secret: &str, register: &Register, now: Now) -> Option<Token> {
        let key = digest(secret);
        let mut sessions = self.lock();
        let session = sessions.get(&key)?;
        let token = (!session.is_over(now.boot))
            .then(|| register.standing(&session.token, session.token_created, now.wall))
            .flatten();
        if token.is_none() {
            sessions.remove(&key);
        }
        token
    }

    /// Signs out.
    pub(super) fn close(&self, secret: &str) {
        self.lock().remove(&digest(secret));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn is_over(&self, now: BootMs) -> bool {
        now.since(self.used) >= IDLE_MS_MAX
    }
}

fn digest(secret: &str) -> Digest {
    Sha256::digest(secret.as_bytes()).into()
}

/// A day's work without a word.
const IDLE_MS_MAX: DurationMs = limits::HTTP_SESSION_IDLE_MS_MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::{NewToken, Scope};

    struct Ground {
        register: Register,
        token: Token,
        sessions: Sessions,
        _dir: tempfile::TempDir,
    }

    fn ground() -> Ground {
        let dir = tempfile::tempdir().unwrap();
        let register = Register::open(dir.path());
        let new = NewToken {
            name: "desk".to_owned(),
            scope: Scope::Read,
            lives_ms: DurationMs::days(1),
            seats: Vec::new(),
        };
        let (token, _) = register.add(new, WallMs(1000)).unwrap();
        Ground {
            register,
            token,
            sessions: Sessions::default(),
            _dir: dir,
        }
    }

    fn at(ms: u64) -> Now {
        Now {
            boot: BootMs(ms),
            wall: WallMs(1000 + ms),
        }
    }

    #[test]
    fn a_session_ends_when_it_is_idle_and_use_keeps_it() {
        let ground = ground();
        let open = |secret: &str, ms| {
            let found = ground.sessions.use_now(secret, &ground.register, at(ms));
            found.is_some()
        };
        let secret = ground.sessions.open(&ground.token, BootMs(0)).unwrap();
        let idle = IDLE_MS_MAX.0;
        assert!(open(&secret, idle - 1));
        assert!(open(&secret, 2 * idle - 2));
        assert!(!open(&secret, 3 * idle - 2));
        assert!(!open(&secret, 0), "what is over does not come back");
        assert!(!open("guessed", 0));
    }

    #[test]
    fn a_page_left_open_keeps_no_session() {
        let ground = ground();
        let secret = ground.sessions.open(&ground.token, BootMs(0)).unwrap();
        let looked = |ms| ground.sessions.token(&secret, &ground.register, at(ms));
        assert!(looked(IDLE_MS_MAX.0 - 1).is_some());
        assert!(looked(IDLE_MS_MAX.0).is_none());
    }

    #[test]
    fn a_session_ends_with_its_token_its_rotation_and_by_signing_out() {
        let ground = ground();
        let (sessions, register) = (&ground.sessions, &ground.register);
        let out = sessions.open(&ground.token, BootMs(0)).unwrap();
        sessions.close(&out);
        assert!(sessions.token(&out, register, at(1)).is_none());
        let old = sessions.open(&ground.token, BootMs(0)).unwrap();
        let grace = DurationMs::hours(1);
        let (rotated, _) = register.rotate("desk", grace, WallMs(1002)).unwrap();
        assert!(sessions.token(&old, register, at(3)).is_none());
        let new = sessions.open(&rotated, BootMs(3)).unwrap();
        assert_eq!(sessions.token(&new, register, at(4)), Some(rotated));
        register.revoke("desk").unwrap();
        assert!(sessions.token(&new, register, at(5)).is_none());
    }

    #[test]
    fn a_session_ends_when_its_token_does() {
        let ground = ground();
        let secret = ground.sessions.open(&ground.token, BootMs(0)).unwrap();
        let end = DurationMs::days(1).0;
        // In use all the time.
        for ms in (0..end).step_by(3_600_000) {
            let token = ground.sessions.use_now(&secret, &ground.register, at(ms));
            assert!(token.is_some(), "{ms}");
        }
        assert!(
            ground
                .sessions
                .use_now(&secret, &ground.register, at(end))
                .is_none()
        );
    }

    #[test]
    fn past_the_bound_the_longest_idle_makes_room_and_no_secret_is_kept() {
        let ground = ground();
        let mut secrets = Vec::new();
        for ms in 0..=limits::HTTP_SESSIONS_MAX as u64 {
            secrets.push(ground.sessions.open(&ground.token, BootMs(ms)).unwrap());
        }
        let stands = |secret: &str| {
            let now = at(limits::HTTP_SESSIONS_MAX as u64);
            ground
                .sessions
                .token(secret, &ground.register, now)
                .is_some()
        };
        assert!(!stands(&secrets[0]));
        assert!(secrets[1..].iter().all(|secret| stands(secret)));
        let kept = format!("{:?}", ground.sessions);
        assert!(!kept.contains(&secrets[1]));
    }
}
