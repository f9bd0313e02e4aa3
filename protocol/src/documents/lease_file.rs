//! The lease file: a lease with all that it takes to judge it off line (T3).
//!
//! `usher checkout` writes one, `usher verify` reads it. It holds no secret: the nonce that owns the
//! lease is kept elsewhere (T6).

use std::str::FromStr;

use serde::Deserialize;

use crate::{
    codec::CodecError,
    documents::{
        endorsement::{EndorsementError, SignedEndorsement, VerifiedEndorsement},
        field,
        lease::{LeaseError, VerifiedLease},
        text_error::{TextError, read_toml},
    },
    envelope::Signed,
    ids::PublicKey,
    time::WallMs,
};

/// The chain from a vendor's root down to one lease, unjudged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseFile {
    /// The vendor's word for the site key.
    pub endorsement: SignedEndorsement,
    /// The site key's word for the client key.
    pub lease: Signed,
}

/// Why a text is no lease file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseFileError {
    /// The text is not a lease file's.
    #[error("not a lease file: {0}")]
    Text(#[from] TextError),
    /// The vendor does not vouch for the site that signed it.
    #[error(transparent)]
    Endorsement(#[from] EndorsementError),
    /// The lease is not genuine, not this machine's, or more than the license allows.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// It was genuine, and is over.
    #[error("the lease ran out {}", crate::calendar::rfc3339(*not_after))]
    Expired {
        /// The right's end by wall clock.
        not_after: WallMs,
    },
}

impl LeaseFile {
    /// The file's text.
    ///
    /// # Errors
    /// [`CodecError`] if a part cannot be encoded.
    pub fn to_text(&self) -> Result<String, CodecError> {
        Ok(format!(
            "# An Usher lease: `usher verify FILE` says what it grants, to which machine, and until when.\n\
             format = 1\n\
             certificate = {}\n\
             endorsement = {}\n\
             lease = {}\n",
            field::encoded(&self.endorsement.certificate)?,
            field::encoded(&self.endorsement.endorsement)?,
            field::encoded(&self.lease)?,
        ))
    }

    /// Judges the lease off line, from a believed root down: is it genuine, this machine's, within
    /// what the license allows, and not over at `now`?
    ///
    /// # Errors
    /// [`LeaseFileError`], the highest broken link of the chain first.
    pub fn verify(
        &self,
        root: &PublicKey,
        client: &PublicKey,
        now: WallMs,
    ) -> Result<VerifiedLease, LeaseFileError> {
        let endorsement = VerifiedEndorsement::verify(&self.endorsement, root)?;
        let lease = VerifiedLease::judge(&self.lease, &endorsement, client)?;
        if now >= lease.not_after {
            let not_after = lease.not_after;
            return Err(LeaseFileError::Expired { not_after });
        }
        Ok(lease)
    }
}

impl FromStr for LeaseFile {
    type Err = LeaseFileError;

    fn from_str(text: &str) -> Result<Self, LeaseFileError> {
        let raw: RawLeaseFile = read_toml(text)?;
        if raw.format != 1 {
            let message = format!("format {}, and this build knows 1", raw.format);
            return Err(TextError::at(text, 0..0, &message).newer().into());
        }
        Ok(Self {
            endorsement: SignedEndorsement {
                certificate: raw.certificate.0,
                endorsement: raw.endorsement.0,
            },
            lease: raw.lease.0,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLeaseFile {
    format: u64,
    certificate: field::Encoded<Signed>,
    endorsement: field::Encoded<Signed>,
    lease: field::Encoded<Signed>,
}
