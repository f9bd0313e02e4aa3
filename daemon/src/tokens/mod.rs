//! Who may use the HTTPS server: tokens with a scope, an end, and a secret that is shown once.
//!
//! It decides what a token is, how its secret is judged and how the register is kept. It must not decide
//! what a scope may ask: `http/routes.rs` says that for each route; nor about seats: the engine does.

mod register;
mod secret;

use serde::{Deserialize, Serialize};
use usher_protocol::{
    ids::PublicKey,
    time::{DurationMs, WallMs},
};

pub use register::{NewToken, Register, TokenError};
pub use secret::{Secret, Sha256Hex};

/// What a token is for. `read`, `operate` and `admin` include what stands before them; `lease` stands apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Take, renew and give back the seats that the token names.
    Lease,
    /// See everything; change nothing.
    Read,
    /// Take leases back.
    Operate,
    /// Suspend, resume, reload, install licenses, list and revoke tokens.
    Admin,
}

impl Scope {
    /// Whether it may do what `needed` may.
    pub const fn includes(self, needed: Self) -> bool {
        match (self, needed) {
            (Self::Lease, Self::Lease) => true,
            (Self::Lease, _) | (_, Self::Lease) => false,
            _ => self as u8 >= needed as u8,
        }
    }

    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

/// How many seats of one feature the leases of a token may have out together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SeatBound {
    /// `vendor/feature`.
    pub feature: String,
    /// At most so many.
    pub seats: u32,
}

/// One token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Token {
    /// Stands in the secret as well: 8 hexadecimal digits.
    pub id: String,
    /// What the administrator calls it; no other token has this name.
    pub name: String,
    /// What it is for.
    pub scope: Scope,
    /// Digest of its secret.
    digest: Sha256Hex,
    /// Digest of the secret before the last rotation, and until when that still holds.
    #[serde(default)]
    previous: Option<(Sha256Hex, WallMs)>,
    /// Made when, by the daemon's wall clock.
    pub created: WallMs,
    /// Ends when, by the daemon's wall clock.
    pub expires: WallMs,
    /// Who its leases belong to (T6). The secret half was thrown away when it was made: nobody can show this
    /// key over QUIC or use such a lease off line.
    #[serde(default)]
    pub client: Option<PublicKey>,
    /// What it may check out; of the scope `lease` alone.
    #[serde(default)]
    pub seats: Vec<SeatBound>,
}

/// Why a secret opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// It is no token's.
    Invalid,
    /// Its token has ended.
    Expired,
}

/// Tokens end after this, unless told otherwise.
pub const TOKEN_MS_DEFAULT: DurationMs = DurationMs::days(90);

/// The longest life of a token: who leaves a site should not keep its key for ever.
pub const TOKEN_MS_MAX: DurationMs = DurationMs::days(3653);

/// Tokens at once.
pub const TOKENS_MAX: usize = 256;

/// Longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// Features that one token may name.
pub const FEATURES_PER_TOKEN_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_includes_those_before_it_and_lease_stands_apart() {
        let all = [Scope::Lease, Scope::Read, Scope::Operate, Scope::Admin];
        let may = |scope: Scope| all.map(|needed| scope.includes(needed));
        assert_eq!(may(Scope::Lease), [true, false, false, false]);
        assert_eq!(may(Scope::Read), [false, true, false, false]);
        assert_eq!(may(Scope::Operate), [false, true, true, false]);
        assert_eq!(may(Scope::Admin), [false, true, true, true]);
    }
}
