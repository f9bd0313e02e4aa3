//! Decides whether a server has authority: `Hello`, `Welcome`, and the endorsement in it (T4, T8).

use super::{ConnectError, exchange::ReadError};
use quinn::{RecvStream, SendStream};
use usher_protocol::{
    documents::endorsement::{EndorsementError, SignedEndorsement, VerifiedEndorsement},
    ids::{Fingerprint, PublicKey},
    limits::{HOLDER_BYTES_MAX, TEXT_BYTES_MAX},
    printable::printable_char,
    refusal::{Refusal, RefusalCode},
    wire::{ClientFrame, Environment, Hello, Reply, ServerFrame, WIRE_VERSION, Welcome},
};

/// What a server must prove to be ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The vendor's root, the one thing that is believed (T3).
    pub root: PublicKey,
    /// Live, or test because the code opted in (T8).
    pub environment: Environment,
    /// The one site that will do, while a lease of it runs.
    pub site: Option<PublicKey>,
}

/// An endorsement as it came and as it was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endorsed {
    /// To keep beside a lease, so that it can be verified off line (T3).
    pub signed: SignedEndorsement,
    /// What it says.
    pub verified: VerifiedEndorsement,
}

impl Wanted {
    /// A server shows a live license before a test one, so a test one means that it has no other.
    pub(super) fn check_environment(&self, shown: &Endorsed) -> Result<(), ConnectError> {
        match (self.environment, shown.verified.environment) {
            (Environment::Live, Environment::Test) => Err(ConnectError::TestOnly),
            _ => Ok(()),
        }
    }

    fn fingerprint(&self) -> Fingerprint {
        self.root.fingerprint()
    }
}

impl Endorsed {
    /// Verifies down from the wanted root, and that it endorses `site`, the key TLS proved.
    pub(super) fn verify(
        signed: SignedEndorsement,
        wanted: &Wanted,
        site: &PublicKey,
    ) -> Result<Self, ConnectError> {
        let verified = VerifiedEndorsement::verify(&signed, &wanted.root)
            .and_then(|verified| verified.for_site(site))
            .map_err(|error| match error {
                EndorsementError::OtherRoot { found } => ConnectError::WrongVendor {
                    found,
                    wanted: wanted.fingerprint(),
                },
                other => ConnectError::NotEndorsed(other),
            })?;
        Ok(Self { signed, verified })
    }
}

/// Says `Hello` and reads what comes back; nothing in it is believed yet but its form.
pub(super) async fn exchange(
    send: &mut SendStream,
    receive: &mut RecvStream,
    wanted: &Wanted,
) -> Result<Welcome, ConnectError> {
    let hello = ClientFrame::Hello(Hello {
        version_min: WIRE_VERSION,
        version_max: WIRE_VERSION,
        root: wanted.fingerprint(),
    });
    let bytes = hello
        .encode()
        .map_err(|error| ConnectError::Local(error.to_string()))?;
    (send.write_all(&bytes).await).map_err(|error| ConnectError::Unreachable(error.to_string()))?;
    let frame = super::exchange::read_frame(receive).await.map_err(unread)?;
    match frame {
        ServerFrame::Welcome(welcome) if welcome.version == WIRE_VERSION => Ok(welcome),
        ServerFrame::Welcome(welcome) => Err(ConnectError::UnsupportedVersion(format!(
            "the server chose version {}, this build speaks {WIRE_VERSION}",
            welcome.version
        ))),
        ServerFrame::Reply(_, Reply::Refused(refusal)) => Err(refused(&refusal)),
        ServerFrame::Reply(_, other) => Err(ConnectError::Protocol(format!(
            "{} instead of a welcome",
            super::kind(&other)
        ))),
        ServerFrame::Push(_) => Err(ConnectError::Protocol(
            "a push instead of a welcome".to_owned(),
        )),
    }
}

/// Somebody who answers, in other words than ours, is there all the same.
fn unread(error: ReadError) -> ConnectError {
    match error {
        ReadError::Stream(error) => ConnectError::Unreachable(error.to_string()),
        ReadError::Codec(error) => ConnectError::Protocol(error.to_string()),
    }
}

/// Who refuses has proved nothing yet: its words are shown, made printable, and no more of it is kept (T4).
fn refused(refusal: &Refusal) -> ConnectError {
    let refusal = Refusal {
        retry_after_ms: refusal.retry_after_ms,
        ..Refusal::new(refusal.code, clean(&refusal.detail, TEXT_BYTES_MAX))
    };
    match refusal.code {
        RefusalCode::UnsupportedVersion => ConnectError::UnsupportedVersion(refusal.detail),
        _ => ConnectError::Refused(Box::new(refusal)),
    }
}

/// A server's name for itself, safe to print and of bounded length.
pub(super) fn bounded_name(name: &str) -> String {
    clean(name, HOLDER_BYTES_MAX)
}

fn clean(text: &str, chars_max: usize) -> String {
    text.chars().map(printable_char).take(chars_max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_refusal_brings_no_control_characters_and_no_holders() {
        let mut refusal = Refusal::new(RefusalCode::NoSeat, "\u{1b}[2Jgone\n".repeat(200));
        (refusal.holders_more, refusal.support) = (7, Some("\u{1b}".to_owned()));
        let ConnectError::Refused(shown) = refused(&refusal) else {
            panic!("another error");
        };
        assert!(shown.detail.starts_with("\u{fffd}[2Jgone\u{fffd}"));
        assert_eq!(shown.detail.chars().count(), TEXT_BYTES_MAX);
        assert_eq!((shown.holders_more, &shown.support), (0, &None));
    }
}
