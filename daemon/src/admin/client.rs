//! The commands' side of the admin socket: ask one question, get one answer. Blocking, bounded in time.

use std::{
    io::{self, BufRead, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use usher_protocol::time::DurationMs;

use super::protocol::{ADMIN_VERSION, Answer, Ask, Question, Reply};
use crate::limits::ADMIN_ANSWER_BYTES_MAX;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Nobody is there.
    #[error("no usherd answers on {}: {source}; {}", path.display(), advice(source))]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The connection broke.
    #[error("the connection to usherd broke: {0}; see its log, then try again")]
    Broken(#[from] io::Error),
    /// What came back is no answer of this version.
    #[error(
        "usherd answered something else ({0}); use the usherd command of the running daemon's version"
    )]
    NotAnAnswer(String),
}

/// A connection to the running daemon.
#[derive(Debug)]
pub struct AdminClient {
    reader: BufReader<UnixStream>,
}

impl AdminError {
    /// Nobody listens there: no daemon runs, as far as its socket tells.
    pub fn is_not_running(&self) -> bool {
        match self {
            Self::Unreachable { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ),
            _ => false,
        }
    }
}

impl AdminClient {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    /// [`AdminError::Unreachable`].
    pub fn connect(path: &Path) -> Result<Self, AdminError> {
        let unreachable = |source| AdminError::Unreachable {
            path: path.to_owned(),
            source,
        };
        let stream = UnixStream::connect(path).map_err(unreachable)?;
        stream
            .set_read_timeout(Some(PATIENCE_MS.to_std()))
            .map_err(unreachable)?;
        stream
            .set_write_timeout(Some(PATIENCE_MS.to_std()))
            .map_err(unreachable)?;
        Ok(Self {
            reader: BufReader::new(stream),
        })
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// [`AdminError::Broken`], [`AdminError::NotAnAnswer`]; a refusal is an answer, not an error.
    pub fn ask(&mut self, ask: Ask) -> Result<Answer, AdminError> {
        let question = Question {
            version: ADMIN_VERSION,
            ask,
        };
        let mut line = serde_json::to_vec(&question).map_err(io::Error::other)?;
        line.push(b'\n');
        self.reader.get_mut().write_all(&line)?;
        let mut line = Vec::new();
        let limit = ADMIN_ANSWER_BYTES_MAX as u64;
        (&mut self.reader)
            .take(limit)
            .read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let reply: Reply = serde_json::from_slice(&line)
            .map_err(|error| AdminError::NotAnAnswer(error.to_string()))?;
        Ok(reply.answer)
    }
}

fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => {
            "join the group `usherd` or use sudo, then log in anew and try again"
        }
        _ => "start it (systemctl start usherd), or name its socket with --admin-socket",
    }
}

/// A backup of a large store takes a while.
const PATIENCE_MS: DurationMs = DurationMs::minutes(2);
