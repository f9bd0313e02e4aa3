//! The lease file: a lease with all that it takes to judge it off line (T3), and what the process
//! that goes on with it needs. Decides what stands in it and whether its chain of signatures holds.
//! Must not read or write a disk, nor ask a clock.
//!
//! `usher checkout` and `usher run` write one, `usher verify` reads it. With its secrets it renews and
//! releases the lease, so it is private then; a copy that only shows the lease has none (T6).

mod text;

use crate::{
    documents::{
        endorsement::{EndorsementError, SignedEndorsement, VerifiedEndorsement},
        lease::{LeaseError, VerifiedLease},
    },
    envelope::Signed,
    ids::{BootId, Nonce, PublicKey, Token},
    time::{DurationMs, Now},
};

pub use text::LeaseFileError;

/// What a lease file says, unjudged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseFile {
    /// The vendor's root: which vendor it is, not that it is believed (T3).
    pub root: PublicKey,
    /// Where the server answered last, `host:port`.
    pub server: String,
    /// The vendor's word for the site key.
    pub endorsement: SignedEndorsement,
    /// The site key's word for the client key.
    pub lease: Signed,
    /// The length to ask for at each renewal, if not the usual one.
    pub length_ms: Option<DurationMs>,
    /// None in a copy that only shows the lease.
    pub secret: Option<StoredSecret>,
    /// What the holder may count on.
    pub right: StoredRight,
}

/// What renews and releases the lease: the chain's last acknowledged step, and the one sent since (T6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredSecret {
    /// The checkout's secret.
    pub nonce: Nonce,
    /// The last step that the server answered.
    pub acknowledged: Token,
    /// The step sent since, if one was.
    pub under_way: Option<Token>,
}

/// The right's beginning by both clocks before the send that the lease answers (L1), and the boot that
/// one of them counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredRight {
    /// Both clocks before that send.
    pub since: Now,
    /// The length **R** of the reply.
    pub length: DurationMs,
    /// The boot, if the kernel told.
    pub boot: Option<BootId>,
}

/// A lease file whose every signature fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// The vendor's word for the site.
    pub endorsement: VerifiedEndorsement,
    /// The site's word for the client key.
    pub lease: VerifiedLease,
    /// Whether the lease is for the key asked about; elsewhere it is worth nothing (T6).
    pub is_ours: bool,
}

/// Why a lease file is not genuine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The vendor's word for the site does not stand.
    #[error(transparent)]
    Endorsement(#[from] EndorsementError),
    /// The site's word for the client does not stand.
    #[error(transparent)]
    Lease(#[from] LeaseError),
}

impl LeaseFile {
    /// Verifies down from `root`, which the caller believes, to the lease, and compares its client
    /// key with `ours`. Whether the lease is over is [`Lease::left`]'s question.
    ///
    /// [`Lease::left`]: crate::documents::lease::Lease::left
    ///
    /// # Errors
    /// [`VerifyError`], the highest broken link of the chain first; a lease of another client key is
    /// genuine, and not ours.
    pub fn verify(&self, root: &PublicKey, ours: &PublicKey) -> Result<Proven, VerifyError> {
        let endorsement = VerifiedEndorsement::verify(&self.endorsement, root)?;
        let lease = VerifiedLease::verify(&self.lease, &endorsement.site)?;
        let is_ours = match lease.check_endorsed(&endorsement, ours) {
            Ok(()) => true,
            Err(LeaseError::WrongDevice) => false,
            Err(error) => return Err(error.into()),
        };
        Ok(Proven {
            endorsement,
            lease,
            is_ours,
        })
    }
}
