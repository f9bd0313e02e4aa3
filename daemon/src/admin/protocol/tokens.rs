//! What is told of tokens. A secret is told once, to the administrator who made it.

use serde::{Deserialize, Serialize};
use usher_protocol::{ids::PublicKey, time::WallMs};

use super::forms::{optional_text, rfc3339};
use crate::tokens::{Scope, SeatBound, Secret, Token};

/// One token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TokenReport {
    /// Its id; the secret names it as well.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub scope: Scope,
    /// Made, or rotated, when.
    #[serde(with = "rfc3339")]
    pub created: WallMs,
    /// Ends when.
    #[serde(with = "rfc3339")]
    pub expires: WallMs,
    /// Who its leases belong to: the key to accept where the policy enrolls keys.
    #[serde(with = "optional_text")]
    pub client: Option<PublicKey>,
    /// What it may check out.
    pub seats: Vec<SeatBound>,
}

/// A token with its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TokenMade {
    /// The token.
    pub token: TokenReport,
    /// Its secret; nobody can be told it again.
    pub secret: Secret,
    /// Where it can be used: `https://127.0.0.1:27480`.
    pub addresses: Vec<String>,
    /// Why it cannot be used yet, when so.
    pub problem: Option<String>,
}

impl From<Token> for TokenReport {
    fn from(token: Token) -> Self {
        Self {
            id: token.id,
            name: token.name,
            scope: token.scope,
            created: token.created,
            expires: token.expires,
            client: token.client,
            seats: token.seats,
        }
    }
}
