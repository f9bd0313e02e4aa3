//! The ways a connection can fail, one word for each that a person would act on differently.

use crate::{marks::MarkError, tls::TlsError};
use usher_protocol::{
    codec::CodecError,
    documents::{endorsement::EndorsementError, lease::LeaseError},
    ids::{Fingerprint, PublicKey},
    refusal::{Refusal, RefusalCode},
    time::DurationMs,
};

/// Why an address is no server for us.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Nobody answers there, or the handshake failed.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// It serves another vendor than the one whose key we have (T3).
    #[error("wrong vendor key: the server is endorsed by the vendor root {found}, not by {wanted}")]
    WrongVendor {
        /// The root it hangs on.
        found: Fingerprint,
        /// The root we have.
        wanted: Fingerprint,
    },
    /// What it shows does not endorse this connection's key (T4).
    #[error("site key not endorsed: {0}")]
    NotEndorsed(EndorsementError),
    /// It serves test licenses only, and our code did not opt in (T8).
    #[error("test licenses only: the server has no live license of this vendor")]
    TestOnly,
    /// Its store went back in time (L12), or we cannot tell.
    #[error(transparent)]
    Mark(#[from] MarkError),
    /// No protocol version is spoken by both sides (S7).
    #[error("unsupported version: {0}")]
    UnsupportedVersion(String),
    /// It says no.
    #[error("refused: {}: {}", .0.code.name(), .0.detail)]
    Refused(Box<Refusal>),
    /// It proved another key than the one our leases need.
    #[error("another site: its key is {0}")]
    OtherSite(PublicKey),
    /// What it says makes no sense.
    #[error("protocol error: {0}")]
    Protocol(String),
    /// Our own side cannot connect to anybody.
    #[error("cannot connect from here: {0}")]
    Local(String),
}

impl ConnectError {
    /// Whether the same address may prove itself a moment later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused(refusal) => {
                matches!(refusal.code, RefusalCode::Busy | RefusalCode::Draining)
            }
            _ => false,
        }
    }
}

/// Why a request got no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The connection ended first.
    #[error("the connection ended: {0}")]
    Ended(String),
    /// It took too long.
    #[error("no answer within {0}")]
    NoAnswer(DurationMs),
    /// The request does not fit a frame.
    #[error(transparent)]
    TooLarge(#[from] CodecError),
    /// Too many requests wait for their answers.
    #[error("{0} requests wait for answers already")]
    TooMany(usize),
}

/// Why a lease that came as an answer is not believed (T2).
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum GrantError {
    /// Its signature or form is wrong.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// Its license is not endorsed for this server.
    #[error("the lease's license is not endorsed: {0}")]
    NotEndorsed(String),
    /// It differs from what was asked.
    #[error("the lease differs from what was asked: {0}")]
    Differs(&'static str),
    /// It promises more than the vendor allows (L8).
    #[error("the lease promises more than its license: {0}")]
    Exceeds(&'static str),
    /// The license's marks speak against it (L12).
    #[error(transparent)]
    Mark(#[from] MarkError),
    /// The endorsement could not be asked for.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl From<TlsError> for ConnectError {
    fn from(error: TlsError) -> Self {
        Self::Local(error.to_string())
    }
}

impl From<ConnectError> for GrantError {
    fn from(error: ConnectError) -> Self {
        Self::NotEndorsed(error.to_string())
    }
}
