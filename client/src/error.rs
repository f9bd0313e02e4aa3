//! The library's errors: one enum to match on, each message ending with what to do next (A4).
//! Also decides the command's exit code for each. Must not hide what a server said.

use crate::{
    borrow::BorrowError,
    clock::AlarmError,
    config::ConfigError,
    connection::{CallError, ConnectError},
    discover::{BadWish, NotFound, Origin, Reason},
    keyfile::KeyFileError,
    paths::PathError,
    trust::TrustError,
};
use std::{fmt, sync::Arc};
use usher_protocol::{
    documents::vendor::VendorKeyError,
    names::NameError,
    refusal::{HolderView, Refusal, RefusalCode},
    time::DurationMs,
    wire::Place,
};

/// Why a call of this library failed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Error {
    /// The vendor key that the program was built with is none.
    VendorKey(VendorKeyError),
    /// A name or version that is none.
    Name(NameError),
    /// A number or length out of bounds; which, and what is allowed.
    OutOfBounds(String),
    /// There is no place for the client's files.
    Paths(Arc<PathError>),
    /// The client key cannot be had.
    Key(Arc<KeyFileError>),
    /// The configuration file is wrong.
    Configuration(Arc<ConfigError>),
    /// The trusted roots cannot be read.
    Trust(Arc<TrustError>),
    /// A server address that is none.
    Address(BadWish),
    /// No server that was found is ours; why not, for each.
    NotFound(Arc<NotFound<ConnectError>>),
    /// The server said no.
    Refused(Box<Refusal>),
    /// No seat came free for as long as the caller would wait; the queue is left (L9).
    WaitedInVain(Box<WaitedInVain>),
    /// The server did not answer in time.
    NoAnswer(String),
    /// The server's answer cannot be believed; why.
    Untrusted(String),
    /// A lease file cannot be used; why.
    LeaseFile(String),
    /// No borrowed seat can be used; why (L10).
    Borrow(BorrowError),
    /// This process lacks what the library needs once; what.
    Local(String),
}

/// A wait in the queue that ended without a seat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitedInVain {
    /// The last place.
    pub place: Place,
    /// For how long.
    pub waited: DurationMs,
    /// Who holds the seats, those that come free first in front; none where the server did not say.
    pub holders: Vec<HolderView>,
    /// How many leases more than the listed ones there are.
    pub holders_more: u32,
}

/// Exit codes of the command (FIELD: exit codes).
pub mod exit {
    /// A name, number or flag that makes no sense.
    pub const USAGE: u8 = 2;
    /// No server could be reached.
    pub const UNREACHABLE: u8 = 69;
    /// No seat was free, or none came free in time.
    pub const NO_SEAT: u8 = 75;
    /// The seat was lost.
    pub const LOST: u8 = 76;
    /// The server's answer is a "no" that waiting does not change.
    pub const REFUSED: u8 = 77;
    /// Files or settings of this machine are wrong.
    pub const CONFIGURATION: u8 = 78;
}

impl Error {
    /// The exit code a command should end with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Name(_) | Self::OutOfBounds(_) => exit::USAGE,
            Self::Address(wish) if wish.origin() == Origin::Explicit => exit::USAGE,
            Self::VendorKey(_)
            | Self::Paths(_)
            | Self::Key(_)
            | Self::Configuration(_)
            | Self::Trust(_)
            | Self::Address(_)
            | Self::LeaseFile(_)
            | Self::Local(_) => exit::CONFIGURATION,
            Self::NotFound(missed) => refusal_in(missed).map_or(exit::UNREACHABLE, refusal_exit),
            Self::NoAnswer(_) => exit::UNREACHABLE,
            Self::WaitedInVain(_) => exit::NO_SEAT,
            Self::Refused(refusal) => refusal_exit(refusal),
            Self::Untrusted(_) => exit::REFUSED,
            Self::Borrow(error) => error.exit_code(),
        }
    }

    /// The refusal, if it was a server that said no.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::NotFound(missed) => refusal_in(missed),
            _ => None,
        }
    }

    /// What to do next, where the message itself does not say.
    pub fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::VendorKey(_) => {
                "build the program with the vendor's key file, VENDOR.pub that `usher-issuer key new` made"
                    .into()
            }
            Self::Name(_) => "see `usher features` for the names served".into(),
            Self::WaitedInVain(waited) => waited.next_step(),
            Self::OutOfBounds(_) => "choose a value within these bounds".into(),
            Self::NoAnswer(_) => {
                "try again, and if it lasts, ask the server's admin for `usherd status`".into()
            }
            Self::Untrusted(_) => {
                "do not use this server until its admin has looked at it: `usherd status`, and the log"
                    .into()
            }
            Self::Refused(refusal) => refusal_step(refusal),
            Self::LeaseFile(_) => "see `usher status` for the leases of this machine".into(),
            Self::Local(_) => "close other programs or raise their limits, then try again".into(),
            Self::Configuration(_) => "correct the file".into(),
            Self::Borrow(error) => return error.next_step().map(str::to_owned),
            Self::Address(_)
            | Self::Paths(_)
            | Self::Key(_)
            | Self::Trust(_)
            | Self::NotFound(_) => {
                return None;
            }
        })
    }
}

impl fmt::Display for Error {
    /// What happened, and on a last line what to do next.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::VendorKey(error) => write!(f, "{error}"),
            Self::Name(error) => write!(f, "{error}"),
            Self::OutOfBounds(text) | Self::Local(text) => f.write_str(text),
            Self::Paths(error) => write!(f, "{error}"),
            Self::Key(error) => write!(f, "{error}"),
            Self::Configuration(error) => write!(f, "{error}"),
            Self::Trust(error) => write!(f, "{error}"),
            Self::Address(error) => write!(f, "{error}"),
            Self::NotFound(missed) => write!(f, "{missed}"),
            Self::Refused(refusal) => write_refusal(f, refusal),
            Self::WaitedInVain(waited) => {
                write!(f, "{waited}")?;
                write_holders(f, &waited.holders, waited.holders_more)
            }
            Self::NoAnswer(text) => write!(f, "the server does not answer: {text}"),
            Self::Untrusted(text) => write!(f, "the server's answer cannot be believed: {text}"),
            Self::LeaseFile(text) => write!(f, "lease file: {text}"),
            Self::Borrow(error) => write!(f, "{error}"),
        }?;
        match self.next_step() {
            Some(step) => write!(f, "\nnext: {step}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

fn write_refusal(f: &mut fmt::Formatter<'_>, refusal: &Refusal) -> fmt::Result {
    write!(f, "{}: {}", refusal.code.name(), refusal.detail)?;
    if let Some(rule) = &refusal.rule {
        write!(f, "\n  rule: {} ({}:{})", rule.text, rule.file, rule.line)?;
    }
    write_holders(f, &refusal.holders, refusal.holders_more)?;
    if let Some(support) = &refusal.support {
        write!(f, "\n  vendor: {support}")?;
    }
    Ok(())
}

fn write_holders(f: &mut fmt::Formatter<'_>, holders: &[HolderView], more: u32) -> fmt::Result {
    for holder in holders {
        write!(f, "\n  held by {}@{}", holder.user, holder.host)?;
        write!(
            f,
            ": {} of it, free in {} unless renewed",
            holder.seats, holder.free_in_ms
        )?;
    }
    if more > 0 {
        write!(f, "\n  and {more} more")?;
    }
    Ok(())
}

impl fmt::Display for WaitedInVain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place {
            position, waiting, ..
        } = self.place;
        let waited = self.waited;
        write!(
            f,
            "no seat came free within {waited}; the queue was left at place {position} of {waiting}"
        )
    }
}

impl WaitedInVain {
    fn next_step(&self) -> String {
        match self.place.expected_ms {
            Some(wait) => format!(
                "a turn was expected within {wait} more; wait longer, or ask one of the holders"
            ),
            None => "wait longer, or ask one of the holders".to_owned(),
        }
    }
}

fn refusal_step(refusal: &Refusal) -> String {
    let wait = refusal.retry_after_ms.or(refusal.earliest_free_ms);
    match (refusal.code, wait) {
        (RefusalCode::NoSeat | RefusalCode::Reserved, Some(wait)) => format!(
            "a seat may come free within {wait}; try again, stand in the queue (`--wait`), or ask one of its holders"
        ),
        (RefusalCode::NoSeat | RefusalCode::Reserved, None) => {
            "try again later, stand in the queue (`--wait`), or ask one of its holders".to_owned()
        }
        (RefusalCode::UnknownFeature | RefusalCode::VersionNotServed, _) => {
            "see `usher features` for what is served".to_owned()
        }
        (RefusalCode::TooManySeats, _) => "ask for fewer seats".to_owned(),
        (RefusalCode::LeaseEnded | RefusalCode::LeaseUnknown, _) => "check out anew".to_owned(),
        (RefusalCode::LeaseForked | RefusalCode::WrongDevice | RefusalCode::NonceReused, _) => {
            "check out a seat of its own on this machine".to_owned()
        }
        (RefusalCode::UnsupportedVersion, _) => "update the older side".to_owned(),
        (RefusalCode::Denied | RefusalCode::NotAdmitted, _) => {
            "ask the server's admin about that rule".to_owned()
        }
        (RefusalCode::MaximumReached, _) => {
            "give one of these seats back, or ask the server's admin about that rule".to_owned()
        }
        (RefusalCode::NotEnrolled, _) => {
            "ask the server's admin to accept that key, then try again".to_owned()
        }
        (RefusalCode::Suspended, _) => "ask the server's admin when it is lent again".to_owned(),
        (RefusalCode::BorrowTooLong, _) => "borrow it for less, with `--for`".to_owned(),
        (RefusalCode::BorrowNotAllowed | RefusalCode::KeptAtHome, _) => {
            "use it on line, or ask the server's admin".to_owned()
        }
        (RefusalCode::CoolingDown, Some(wait)) => format!("try again in {wait}"),
        (code, Some(wait)) if is_passing(code) => format!("try again in {wait}"),
        _ => "ask the server's admin for `usherd status`".to_owned(),
    }
}

fn refusal_exit(refusal: &Refusal) -> u8 {
    match refusal.code {
        RefusalCode::NoSeat | RefusalCode::KeptAtHome | RefusalCode::Overcommitted => exit::NO_SEAT,
        code if is_passing(code) => exit::NO_SEAT,
        RefusalCode::BadRequest | RefusalCode::TooManySeats => exit::USAGE,
        _ => exit::REFUSED,
    }
}

fn is_passing(code: RefusalCode) -> bool {
    matches!(
        code,
        RefusalCode::Busy
            | RefusalCode::Draining
            | RefusalCode::Holding
            | RefusalCode::StorageTrouble
    )
}

/// The "no" of a server that somebody named. Whoever answers an advert has proved nothing yet, so its "no"
/// is a reason to look further and decides nothing (T4).
fn refusal_in(missed: &NotFound<ConnectError>) -> Option<&Refusal> {
    missed
        .failures
        .iter()
        .filter(|failure| failure.origin < Origin::LastGood)
        .find_map(|failure| match &failure.reason {
            Reason::Refused(ConnectError::Refused(refusal)) => Some(refusal.as_ref()),
            _ => None,
        })
}

macro_rules! from {
    ($($source:ty => $make:expr),+ $(,)?) => {
        $(impl From<$source> for Error {
            fn from(error: $source) -> Self {
                $make(error)
            }
        })+
    };
}

from! {
    VendorKeyError => Error::VendorKey,
    NameError => Error::Name,
    BorrowError => Error::Borrow,
    PathError => |error| Error::Paths(Arc::new(error)),
    KeyFileError => |error| Error::Key(Arc::new(error)),
    ConfigError => |error| Error::Configuration(Arc::new(error)),
    TrustError => |error| Error::Trust(Arc::new(error)),
    BadWish => Error::Address,
    NotFound<ConnectError> => |missed| Error::NotFound(Arc::new(missed)),
    AlarmError => |error: AlarmError| Error::Local(error.to_string()),
    CallError => |error: CallError| Error::NoAnswer(error.to_string()),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discover::Failure;
    use std::time::Duration;

    fn refused_by(origin: Origin) -> Error {
        let refusal = Refusal::new(RefusalCode::NoSeat, "all seats are out");
        let failure = Failure {
            origin,
            name: "lic01".to_owned(),
            addr: None,
            reason: Reason::Refused(ConnectError::Refused(Box::new(refusal))),
        };
        Error::from(NotFound {
            failures: vec![failure],
            failures_left_out: 0,
            dns: None,
            mdns: None,
            waited: Duration::ZERO,
        })
    }

    #[test]
    fn only_a_server_that_was_named_decides_by_its_no_how_a_program_ends() {
        assert_eq!(refused_by(Origin::Explicit).exit_code(), exit::NO_SEAT);
        assert_eq!(refused_by(Origin::Mdns).exit_code(), exit::UNREACHABLE);
        assert!(refused_by(Origin::LastGood).refusal().is_none());
    }
}
