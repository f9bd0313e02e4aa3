//! Decides off line whether a lease file is genuine: the whole chain from a believed root down to
//! this machine's client key (T3, T6). Must not ask anybody.

use super::LeaseFile;
use usher_protocol::{
    documents::{
        endorsement::{EndorsementError, VerifiedEndorsement},
        lease::{LeaseError, VerifiedLease},
    },
    ids::PublicKey,
};

/// A lease file whose every signature fits.
#[derive(Debug, Clone)]
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
    /// key with `ours`.
    ///
    /// # Errors
    /// [`VerifyError`]; a lease of another client key is genuine, and not ours.
    pub fn verify(&self, root: &PublicKey, ours: &PublicKey) -> Result<Proven, VerifyError> {
        let endorsement = VerifiedEndorsement::verify(&self.endorsement, root)?;
        let lease = VerifiedLease::verify(&self.signed, &endorsement.site)?;
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
