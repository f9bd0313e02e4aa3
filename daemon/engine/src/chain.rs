//! The renewal chain of one lease (T6): does this step follow, repeat, or branch?
//!
//! It judges steps; what a branch costs is decided by its callers.

use usher_protocol::{ids::Token, wire::Link};

/// The last step taken; volatile, so the first token shown after a restart starts it anew (T6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chain {
    previous: Option<Token>,
    next: Token,
}

/// Two parties use one chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Branch;

impl Chain {
    /// The chain as a checkout starts it.
    pub(crate) fn start(token: Token) -> Self {
        Self {
            previous: None,
            next: token,
        }
    }

    /// The chain after `link`: one step on, or the same step once more.
    pub(crate) fn step(chain: Option<Self>, link: Link) -> Result<Self, Branch> {
        let stepped = Self {
            previous: Some(link.previous),
            next: link.next,
        };
        match chain {
            None => Ok(stepped),
            Some(last) if last == stepped || last.next == link.previous => Ok(stepped),
            Some(_) => Err(Branch),
        }
    }

    /// The chain after the checkout came once more: it must not have moved on.
    pub(crate) fn repeat(chain: Option<Self>, token: Token) -> Result<Self, Branch> {
        match chain {
            None => Ok(Self::start(token)),
            Some(last) if last.next == token => Ok(last),
            Some(_) => Err(Branch),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(previous: u8, next: u8) -> Link {
        Link {
            previous: Token([previous; 16]),
            next: Token([next; 16]),
        }
    }

    #[test]
    fn t6_a_chain_goes_on_and_repeats_and_shows_branches() {
        let start = Chain::start(Token([1; 16]));
        let second = Chain::step(Some(start), link(1, 2)).unwrap();
        assert_eq!(Chain::step(Some(second), link(1, 2)), Ok(second));
        assert!(Chain::step(Some(second), link(2, 3)).is_ok());
        assert_eq!(Chain::step(Some(second), link(1, 3)), Err(Branch));
        assert_eq!(Chain::step(Some(second), link(9, 2)), Err(Branch));
        assert!(Chain::step(None, link(7, 8)).is_ok());
    }

    #[test]
    fn t6_a_checkout_repeats_only_while_the_chain_stands_at_its_token() {
        let start = Chain::start(Token([1; 16]));
        assert_eq!(Chain::repeat(Some(start), Token([1; 16])), Ok(start));
        let second = Chain::step(Some(start), link(1, 2)).unwrap();
        assert_eq!(Chain::repeat(Some(second), Token([1; 16])), Err(Branch));
        assert!(Chain::repeat(None, Token([1; 16])).is_ok());
    }
}
