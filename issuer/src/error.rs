//! What can go wrong, and what to do next.

use std::path::{Path, PathBuf};

/// An error a person reads; each text ends with the next step.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file could not be read, written or locked.
    #[error("{what} {}: {source}", path.display())]
    File {
        what: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    /// A document is not acceptable.
    #[error("{0}")]
    Document(String),
    /// The command line asks for something impossible.
    #[error("{0}")]
    Usage(String),
    /// The key directory is not as it should be.
    #[error("{0}")]
    Vault(String),
    /// The log does not hold together.
    #[error("{0}")]
    Log(String),
}

impl Error {
    /// `map_err` for file operations.
    pub(crate) fn file(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { what, path, source }
    }

    /// 2 for usage, 78 for a key directory that needs setting up, 1 otherwise.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Vault(_) => 78,
            Self::File { .. } | Self::Document(_) | Self::Log(_) => 1,
        }
    }
}

impl From<usher_protocol::codec::CodecError> for Error {
    fn from(error: usher_protocol::codec::CodecError) -> Self {
        Self::Document(error.to_string())
    }
}
