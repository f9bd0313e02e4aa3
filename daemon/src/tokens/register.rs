//! The register of tokens: one private file, replaced as a whole, durable before a change is acknowledged.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use usher_client::paths::files;
use usher_protocol::{
    ids::PublicKey,
    names::FeaturePath,
    time::{DurationMs, WallMs},
};

use super::{
    FEATURES_PER_TOKEN_MAX, NAME_BYTES_MAX, Scope, SeatBound, Secret, Sha256Hex, TOKEN_MS_MAX,
    TOKENS_MAX, Token, Unknown, secret,
};

/// The tokens of one state directory. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Register(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    tokens: RwLock<Vec<Token>>,
    /// One change at a time, file included.
    change: Mutex<()>,
    /// Why the file cannot be used; then no token is known and none is made.
    broken: Option<String>,
    count: watch::Sender<usize>,
}

/// What a new token shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// What to call it.
    pub name: String,
    /// What for.
    pub scope: Scope,
    /// Ends after this.
    pub lives_ms: DurationMs,
    /// What it may check out.
    pub seats: Vec<SeatBound>,
}

/// Why a token is not made, changed or removed. Each message names the next step.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The wish makes no sense.
    #[error("{0}")]
    Wrong(String),
    /// No token is called that.
    #[error("no token is called `{0}` (usherd token list)")]
    Absent(String),
    /// The file is there and is no register.
    #[error("{0}")]
    Broken(String),
    /// The file cannot be written.
    #[error("cannot write {}: {source}; let the user that runs usherd write there", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// No random secret.
    #[error("the system gives no randomness: {0}; try again")]
    Randomness(#[from] getrandom::Error),
}

/// The file as written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    tokens: Vec<Token>,
}

impl Register {
    /// The register of this state directory. A file that makes no sense gives one without tokens, and says so:
    /// seats are lent all the same.
    pub fn open(state_dir: &Path) -> Self {
        let path = state_dir.join(FILE);
        let (tokens, broken) = match read(&path) {
            Ok(tokens) => (tokens, None),
            Err(message) => {
                tracing::error!("{message}");
                (Vec::new(), Some(message))
            }
        };
        Self(Arc::new(Shared {
            count: watch::Sender::new(tokens.len()),
            path,
            tokens: RwLock::new(tokens),
            change: Mutex::new(()),
            broken,
        }))
    }

    /// How many there are, as it changes.
    pub fn counts(&self) -> watch::Receiver<usize> {
        self.0.count.subscribe()
    }

    /// All of them.
    pub fn list(&self) -> Vec<Token> {
        self.tokens().clone()
    }

    /// The token that a presented secret belongs to.
    ///
    /// # Errors
    /// [`Unknown`].
    pub fn check(&self, presented: &str, now: WallMs) -> Result<Token, Unknown> {
        let digest = Sha256Hex::of(presented);
        let id = secret::id_in(presented).ok_or(Unknown::Invalid)?;
        let tokens = self.tokens();
        let token = tokens.iter().find(|token| token.id == id);
        let token = token.ok_or(Unknown::Invalid)?;
        let by_previous = token.previous.as_ref().filter(|it| it.0.is(&digest));
        let ends = match by_previous {
            _ if token.digest.is(&digest) => token.expires,
            Some((_, until)) => token.expires.min(*until),
            None => return Err(Unknown::Invalid),
        };
        if now >= ends {
            return Err(Unknown::Expired);
        }
        Ok(token.clone())
    }

    /// The token with this id as it was made or rotated at `created`, if it has not ended: what was begun with a
    /// secret ends with that secret.
    pub fn standing(&self, id: &str, created: WallMs, now: WallMs) -> Option<Token> {
        let tokens = self.tokens();
        let token = tokens.iter().find(|it| it.id == id)?;
        (token.created == created && now < token.expires).then(|| token.clone())
    }

    /// Makes one; its secret is told here and nowhere else. Blocks until it is durable.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn add(&self, new: NewToken, now: WallMs) -> Result<(Token, Secret), TokenError> {
        judge(&new)?;
        let id = secret::random_id()?;
        let secret = Secret::random(&id)?;
        let token = Token {
            id,
            digest: secret.digest(),
            previous: None,
            created: now,
            expires: now.plus(new.lives_ms),
            client: match new.scope {
                Scope::Lease => Some(nobodys_key()?),
                _ => None,
            },
            name: new.name,
            scope: new.scope,
            seats: new.seats,
        };
        let made = token.clone();
        self.change(|tokens| {
            // What has ended is of no more use, and its name is free.
            tokens.retain(|it| it.expires > now || it.name != made.name);
            if tokens
                .iter()
                .any(|it| it.name == made.name || it.id == made.id)
            {
                return Err(TokenError::Wrong(format!(
                    "a token `{}` is there; choose another --name, or revoke or rotate that one",
                    made.name
                )));
            }
            if tokens.len() >= TOKENS_MAX {
                return Err(TokenError::Wrong(format!(
                    "there are {TOKENS_MAX} tokens, as many as may be; revoke one"
                )));
            }
            tokens.push(made);
            Ok(())
        })?;
        Ok((token, secret))
    }

    /// Gives a token a new secret; the one before holds for `grace_ms` more.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn rotate(
        &self,
        word: &str,
        grace_ms: DurationMs,
        now: WallMs,
    ) -> Result<(Token, Secret), TokenError> {
        self.change(|tokens| {
            let token = tokens.iter_mut().find(|it| it.is_called(word));
            let token = token.ok_or_else(|| TokenError::Absent(word.to_owned()))?;
            if now >= token.expires {
                let message = format!("the token `{word}` has ended; make a new one");
                return Err(TokenError::Wrong(message));
            }
            let secret = Secret::random(&token.id)?;
            // As long as it was to live when it was made.
            token.expires = now.plus(token.expires.since(token.created));
            token.created = now;
            let old = std::mem::replace(&mut token.digest, secret.digest());
            token.previous = Some((old, now.plus(grace_ms)));
            Ok((token.clone(), secret))
        })
    }

    /// Ends a token at once.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn revoke(&self, word: &str) -> Result<Token, TokenError> {
        self.change(|tokens| {
            let index = tokens.iter().position(|it| it.is_called(word));
            let index = index.ok_or_else(|| TokenError::Absent(word.to_owned()))?;
            Ok(tokens.remove(index))
        })
    }

    /// Durable first, in force then: a change that is told has happened.
    fn change<T>(
        &self,
        how: impl FnOnce(&mut Vec<Token>) -> Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        if let Some(message) = &self.0.broken {
            return Err(TokenError::Broken(message.clone()));
        }
        let _turn = self.0.change.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tokens = self.list();
        let outcome = how(&mut tokens)?;
        self.write(&tokens)?;
        let count = tokens.len();
        *self
            .0
            .tokens
            .write()
            .unwrap_or_else(PoisonError::into_inner) = tokens;
        self.0.count.send_replace(count);
        Ok(outcome)
    }

    fn write(&self, tokens: &[Token]) -> Result<(), TokenError> {
        let path = &self.0.path;
        let unwritable = |source| TokenError::Unwritable {
            path: path.clone(),
            source,
        };
        let file = File {
            version: VERSION,
            tokens: tokens.to_vec(),
        };
        let bytes = serde_json::to_vec_pretty(&file).map_err(io::Error::from);
        files::replace_private(path, &bytes.map_err(unwritable)?).map_err(unwritable)
    }

    fn tokens(&self) -> std::sync::RwLockReadGuard<'_, Vec<Token>> {
        self.0.tokens.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Token {
    fn is_called(&self, word: &str) -> bool {
        self.name == word || self.id == word
    }
}

fn read(path: &Path) -> Result<Vec<Token>, String> {
    let what = |problem: String| {
        let path = path.display();
        format!(
            "{path}: {problem}; no token is known until it is mended, or moved away and all tokens made anew"
        )
    };
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(what(error.to_string())),
    };
    let file: File = serde_json::from_slice(&bytes).map_err(|error| what(error.to_string()))?;
    if file.version != VERSION {
        return Err(what(format!("version {}, not {VERSION}", file.version)));
    }
    Ok(file.tokens)
}

fn judge(new: &NewToken) -> Result<(), TokenError> {
    let wrong = |message: String| Err(TokenError::Wrong(message));
    let name = &new.name;
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(is_plain) {
        return wrong(format!(
            "a token's name has 1 to {NAME_BYTES_MAX} letters, digits, `-`, `_` and `.`"
        ));
    }
    if new.lives_ms == DurationMs::ZERO || new.lives_ms > TOKEN_MS_MAX {
        return wrong(format!("a token lives at most {TOKEN_MS_MAX}"));
    }
    match new.scope {
        Scope::Lease if new.seats.is_empty() => wrong(
            "a token for leases names what it may check out: --feature vendor/feature:SEATS"
                .to_owned(),
        ),
        Scope::Lease if new.seats.len() > FEATURES_PER_TOKEN_MAX => wrong(format!(
            "a token names at most {FEATURES_PER_TOKEN_MAX} features"
        )),
        Scope::Lease => new.seats.iter().try_for_each(judge_seats),
        _ if !new.seats.is_empty() => wrong("--feature goes with --scope lease".to_owned()),
        _ => Ok(()),
    }
}

fn judge_seats(bound: &SeatBound) -> Result<(), TokenError> {
    if bound.feature.parse::<FeaturePath>().is_ok() && bound.seats > 0 {
        return Ok(());
    }
    let message = format!(
        "`{}:{}`: expected vendor/feature:SEATS, at least one seat",
        bound.feature, bound.seats
    );
    Err(TokenError::Wrong(message))
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

/// A key whose secret half nobody has, not even we.
fn nobodys_key() -> Result<PublicKey, TokenError> {
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut())?;
    Ok(PublicKey::from(&SigningKey::from_bytes(&seed)))
}

const FILE: &str = "http/tokens.json";
const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const NOW: WallMs = WallMs(1_795_348_800_000);

    fn new(name: &str, scope: Scope) -> NewToken {
        NewToken {
            name: name.to_owned(),
            scope,
            lives_ms: DurationMs::days(90),
            seats: Vec::new(),
        }
    }

    #[test]
    fn a_token_opens_until_it_ends_and_across_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let register = Register::open(dir.path());
        let (token, secret) = register.add(new("shop", Scope::Read), NOW).unwrap();
        for register in [register, Register::open(dir.path())] {
            assert_eq!(register.check(secret.show(), NOW), Ok(token.clone()));
            let last = WallMs(token.expires.0 - 1);
            assert!(register.check(secret.show(), last).is_ok());
            let ended = register.check(secret.show(), token.expires);
            assert_eq!(ended, Err(Unknown::Expired));
        }
    }

    #[test]
    fn what_is_nearly_a_secret_opens_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let register = Register::open(dir.path());
        let (_, secret) = register.add(new("shop", Scope::Read), NOW).unwrap();
        let (other, _) = register.add(new("other", Scope::Admin), NOW).unwrap();
        let real = secret.show();
        let mine = secret::id_in(real).unwrap();
        let tried: [String; 6] = [
            String::new(),
            real[..real.len() - 1].to_owned(),
            format!("{real}A"),
            real.to_uppercase(),
            real.replace(mine, &other.id),
            secret.digest().0,
        ];
        for presented in tried {
            assert_eq!(register.check(&presented, NOW), Err(Unknown::Invalid));
        }
    }

    #[test]
    fn the_file_holds_digests_and_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let register = Register::open(dir.path());
        let (_, secret) = register.add(new("shop", Scope::Read), NOW).unwrap();
        let path = dir.path().join(FILE);
        let text = fs::read_to_string(&path).unwrap();
        // The random part may have such a stroke in it.
        let random = secret.show().splitn(3, '_').last().unwrap();
        assert!(!text.contains(random), "{text}");
        assert!(text.contains(&secret.digest().0));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_revoked_token_opens_nothing_and_its_name_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let register = Register::open(dir.path());
        let (token, secret) = register.add(new("shop", Scope::Read), NOW).unwrap();
        assert!(register.add(new("shop", Scope::Read), NOW).is_err());
        assert_eq!(register.revoke("shop").unwrap().id, token.id);
        for register in [register.clone(), Register::open(dir.path())] {
            let checked = register.check(secret.show(), NOW);
            assert_eq!(checked, Err(Unknown::Invalid));
        }
        assert!(register.add(new("shop", Scope::Read), NOW).is_ok());
        assert!(matches!(
            register.revoke("nobody"),
            Err(TokenError::Absent(_))
        ));
    }

    #[test]
    fn a_rotated_token_has_two_secrets_for_a_while() {
        let dir = tempfile::tempdir().unwrap();
        let register = Register::open(dir.path());
        let (_, first) = register.add(new("shop", Scope::Read), NOW).unwrap();
        let grace = DurationMs::hours(1);
        let (_, second) = register.rotate("shop", grace, NOW).unwrap();
        assert!(register.check(first.show(), NOW).is_ok());
        assert!(register.check(second.show(), NOW).is_ok());
        let later = NOW.plus(grace);
        let ended = register.check(first.show(), later);
        assert_eq!(ended, Err(Unknown::Expired));
        let (_, third) = register.rotate("shop", DurationMs::ZERO, later).unwrap();
        assert_eq!(
            register.check(second.show(), later),
            Err(Unknown::Expired),
            "without grace the old one is over at once"
        );
        assert!(register.check(third.show(), later).is_ok());
        assert_eq!(register.check(first.show(), later), Err(Unknown::Invalid));
    }

    #[test]
    fn wishes_that_make_no_sense_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let register = Register::open(dir.path());
        let seats = |feature: &str, seats| NewToken {
            seats: vec![SeatBound {
                feature: feature.to_owned(),
                seats,
            }],
            ..new("shop", Scope::Lease)
        };
        let too_long = NewToken {
            lives_ms: TOKEN_MS_MAX.plus(DurationMs(1)),
            ..new("shop", Scope::Read)
        };
        let of_reader = NewToken {
            scope: Scope::Read,
            ..seats("acme/solver", 1)
        };
        let wrong = [
            new("", Scope::Read),
            new("a b", Scope::Read),
            new("a\u{1b}b", Scope::Read),
            new("shop", Scope::Lease),
            seats("solver", 1),
            seats("acme/solver", 0),
            too_long,
            of_reader,
        ];
        for wish in wrong {
            assert!(register.add(wish.clone(), NOW).is_err(), "{wish:?}");
        }
        let (token, _) = register.add(seats("acme/solver", 2), NOW).unwrap();
        assert!(token.client.is_some(), "its leases belong to a key");
    }

    #[test]
    fn a_file_that_is_no_register_opens_nothing_and_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        files::replace_private(&path, b"{\"version\":2,\"tokens\":[]}").unwrap();
        let register = Register::open(dir.path());
        let error = register.add(new("shop", Scope::Read), NOW).unwrap_err();
        assert!(matches!(error, TokenError::Broken(_)), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"{\"version\":2,\"tokens\":[]}");
    }
}
