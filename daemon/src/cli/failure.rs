//! How a verb ends when it did not do its job: a message with a next step, and an exit code.

use std::{io, process::ExitCode};

use crate::{
    admin::{client::AdminError, protocol::Answer},
    config::ConfigError,
};

/// A verb's failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    /// Something went wrong (exit code 1).
    pub fn new(message: impl Into<String>) -> Self {
        Self::with_code(message, 1)
    }

    /// The configuration is wrong (exit code 78): trying again does not help.
    pub fn configuration(message: impl Into<String>) -> Self {
        Self::with_code(message, 78)
    }

    /// No daemon answers (exit code 69).
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::with_code(message, UNREACHABLE)
    }

    /// The daemon said no (exit code 77).
    pub fn refused(message: impl Into<String>) -> Self {
        Self::with_code(message, 77)
    }

    /// The command line lacks something (exit code 2).
    pub fn usage(message: impl Into<String>) -> Self {
        Self::with_code(message, 2)
    }

    /// Nobody reads the output any more: nothing is said, and it is no error.
    pub fn nobody_reads() -> Self {
        Self::with_code("", 0)
    }

    /// Everything was said where it belongs; only the exit code tells.
    pub fn said(code: u8) -> Self {
        Self::with_code("", code)
    }

    /// What went wrong, with the next step.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The exit code that tells it.
    pub fn code(&self) -> u8 {
        self.code
    }

    /// No daemon answers.
    pub fn is_unreachable(&self) -> bool {
        self.code == UNREACHABLE
    }

    /// Says it on standard error and gives the exit code.
    pub fn report(&self) -> ExitCode {
        if !self.message.is_empty() {
            eprintln!("usherd: {}", self.message);
        }
        ExitCode::from(self.code)
    }

    /// An answer that the verb did not hope for.
    pub fn of_answer(answer: Answer) -> Self {
        match answer {
            Answer::Refused {
                code,
                detail,
                support,
            } => {
                let support = support.map_or_else(String::new, |text| format!("\n{text}"));
                Self::refused(format!("{code}: {detail}{support}"))
            }
            Answer::Failed { message } => Self::new(message),
            other => Self::new(format!(
                "usherd answered something unexpected ({other:?}); use the usherd command of the running daemon's version"
            )),
        }
    }

    fn with_code(message: impl Into<String>, code: u8) -> Self {
        Self {
            message: message.into(),
            code,
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::configuration(error.to_string())
    }
}

impl From<AdminError> for Failure {
    fn from(error: AdminError) -> Self {
        match &error {
            AdminError::Unreachable { source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                Self::refused(error.to_string())
            }
            AdminError::Unreachable { .. } => Self::unreachable(error.to_string()),
            other => Self::new(other.to_string()),
        }
    }
}

const UNREACHABLE: u8 = 69;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_daemon_and_a_forbidden_socket_differ() {
        let failure = |kind: io::ErrorKind| {
            Failure::from(AdminError::Unreachable {
                path: "/run/usherd/admin.sock".into(),
                source: kind.into(),
            })
        };
        let absent = failure(io::ErrorKind::NotFound);
        assert_eq!(absent.code, 69);
        assert!(absent.message.contains("systemctl start usherd"));
        let forbidden = failure(io::ErrorKind::PermissionDenied);
        assert_eq!(forbidden.code, 77);
        assert!(forbidden.message.contains("join the group `usherd`"));
    }
}
