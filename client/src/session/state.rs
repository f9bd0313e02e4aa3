//! What a holder is told of its seat: the state at a moment, and the changes between moments.

use std::{fmt, mem::discriminant};

use usher_protocol::refusal::Refusal;

/// What may be believed of a seat at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// The seat is ours.
    Active,
    /// The right still stands but is not being extended; why.
    Renewing(Trouble),
    /// The seat is not ours; why.
    Lost(LostWhy),
}

/// A change of state, reported once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Renewals work again.
    Active,
    /// A renewal was missed or refused; the right still stands.
    Renewing(Trouble),
    /// The seat is not ours any more.
    Lost(LostWhy),
    /// A lost seat is ours again: the same lease, or another for the same checkout.
    Restored,
}

/// Why a right is not being extended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// The server does not answer.
    NoAnswer,
    /// Wall and boot clock disagree by more than a second, as after a paused virtual machine; the
    /// server is being asked (L1).
    Clocks,
    /// An administrator takes the seat back; why. Finish, then release it (L7).
    Evicted(String),
    /// The application has reported no activity for longer than the site's policy allows, so the
    /// server takes the seat back. Save, release it, and check out anew when there is work (L7).
    Idle(Box<Refusal>),
    /// The server refuses to extend.
    Refused(Box<Refusal>),
}

/// Why a seat is not ours.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LostWhy {
    /// Nobody extended the right before it ended. It is being asked for again.
    TimedOut,
    /// The server says that the lease is over. A new one is being asked for.
    Ended,
    /// The server refused to extend the right before it ended, or to lend another for it since. It
    /// is being asked for again.
    Refused(Box<Refusal>),
    /// An administrator took the seat back; why (L7).
    Evicted(String),
    /// The application was idle for longer than the site's policy allows; the seat went back and is
    /// not asked for again. Check out anew when there is work.
    Idle(Box<Refusal>),
    /// Two processes or machines renewed this lease; neither may go on (T6).
    Forked,
    /// The lease belongs to another client key (T6).
    WrongDevice,
    /// It was borrowed until now (L10).
    BorrowOver,
    /// It was given back.
    Released,
}

impl State {
    /// Whether the seat may be used at this moment.
    pub fn holds(&self) -> bool {
        !matches!(self, Self::Lost(_))
    }

    /// The change from `before` to here, if it is one worth telling.
    pub(super) fn change_from(&self, before: &Self) -> Option<Change> {
        match (before, self) {
            (Self::Renewing(old), Self::Renewing(new))
                if discriminant(old) == discriminant(new) =>
            {
                None
            }
            (Self::Lost(_), Self::Lost(_)) | (Self::Active, Self::Active) => None,
            (Self::Lost(_), _) => Some(Change::Restored),
            (_, Self::Active) => Some(Change::Active),
            (_, Self::Renewing(trouble)) => Some(Change::Renewing(trouble.clone())),
            (_, Self::Lost(why)) => Some(Change::Lost(why.clone())),
        }
    }
}

impl LostWhy {
    /// Whether the session still tries to get the seat back.
    pub fn is_pursued(&self) -> bool {
        matches!(self, Self::TimedOut | Self::Ended | Self::Refused(_))
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Active => f.write_str("active"),
            Self::Renewing(trouble) => write!(f, "renewing: {trouble}"),
            Self::Lost(why) => write!(f, "lost: {why}"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Active => f.write_str("active again"),
            Self::Renewing(trouble) => write!(f, "renewing: {trouble}"),
            Self::Lost(why) => write!(f, "lost: {why}"),
            Self::Restored => f.write_str("restored"),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer => f.write_str("the server does not answer"),
            Self::Clocks => f.write_str("wall clock and boot clock disagree; asking the server"),
            Self::Evicted(reason) => {
                write!(f, "an administrator takes the seat back: {reason}")
            }
            Self::Idle(refusal) | Self::Refused(refusal) => {
                write!(f, "{}: {}", refusal.code.name(), refusal.detail)
            }
        }
    }
}

impl fmt::Display for LostWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("not renewed in time"),
            Self::Ended => f.write_str("the server says that the lease is over"),
            Self::BorrowOver => f.write_str("the borrow is over"),
            Self::Idle(refusal) | Self::Refused(refusal) => {
                write!(f, "{}: {}", refusal.code.name(), refusal.detail)
            }
            Self::Evicted(reason) => write!(f, "an administrator took the seat back: {reason}"),
            Self::Forked => f.write_str("two processes or machines renewed this lease"),
            Self::WrongDevice => f.write_str("the lease belongs to another machine or user"),
            Self::Released => f.write_str("given back"),
        }
    }
}
