//! The signed documents, from the vendor's root down to a lease (DESIGN 3).
//!
//! ```text
//! vendor root key ─signs→ issuing certificate ─signs→ pool license ─names→ site key ─signs→ lease ─names→ client key
//! ```
//! Only verification constructs a `Verified…` type (T2); everything past the edge takes those.

pub mod certificate;
pub mod endorsement;
mod field;
pub mod lease;
pub mod lease_file;
pub mod license;
pub mod revocation;
mod signed_text;
pub mod site_request;
mod text_error;
pub mod vendor;

pub use self::{signed_text::SignedTextError, text_error::TextError};
