//! The renewal chain of one lease (T6): does this step follow, repeat, come late, or branch?
//!
//! It judges steps; what a branch costs is decided by its callers.

use usher_protocol::{ids::Token, wire::Link};

/// The last step taken; volatile, so the first token shown after a restart starts it anew (T6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chain {
    /// Where the step before the last began; it ended at `previous`.
    before: Option<Token>,
    previous: Option<Token>,
    next: Token,
}

/// A step that the chain does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stray {
    /// The step before the last once more, both its tokens: a copy that a network delivered late.
    Late,
    /// Two parties use one chain.
    Branch,
}

impl Chain {
    /// The chain as a checkout starts it.
    pub(crate) fn start(token: Token) -> Self {
        Self {
            before: None,
            previous: None,
            next: token,
        }
    }

    /// The chain after `link`: one step on, or the same step once more.
    pub(crate) fn step(chain: Option<Self>, link: Link) -> Result<Self, Stray> {
        let stepped = |before| Self {
            before,
            previous: Some(link.previous),
            next: link.next,
        };
        match chain {
            None => Ok(stepped(None)),
            Some(last) if last == stepped(last.before) => Ok(last),
            Some(last) if last.next == link.previous => Ok(stepped(last.previous)),
            Some(last) if last.is_late(link) => Err(Stray::Late),
            Some(_) => Err(Stray::Branch),
        }
    }

    /// The chain after the checkout came once more: it must not have moved on.
    pub(crate) fn repeat(chain: Option<Self>, token: Token) -> Result<Self, Stray> {
        match chain {
            None => Ok(Self::start(token)),
            Some(last) if last.next == token => Ok(last),
            Some(_) => Err(Stray::Branch),
        }
    }

    fn is_late(self, link: Link) -> bool {
        self.before == Some(link.previous) && self.previous == Some(link.next)
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
        assert_eq!(Chain::step(Some(second), link(1, 3)), Err(Stray::Branch));
        assert_eq!(Chain::step(Some(second), link(9, 2)), Err(Stray::Branch));
        assert!(Chain::step(None, link(7, 8)).is_ok());
    }

    #[test]
    fn t6_only_an_exact_copy_of_the_step_before_the_last_is_late() {
        let steps = [link(1, 2), link(2, 3), link(3, 4)];
        let stands = steps.into_iter().fold(None, |chain, link| {
            let chain = Chain::step(chain, link).unwrap();
            // A repeat makes no step older.
            assert_eq!(Chain::step(Some(chain), link), Ok(chain));
            Some(chain)
        });
        assert_eq!(Chain::step(stands, link(2, 3)), Err(Stray::Late));
        for branch in [link(2, 9), link(9, 3), link(1, 2), link(1, 3), link(2, 4)] {
            assert_eq!(
                Chain::step(stands, branch),
                Err(Stray::Branch),
                "{branch:?}"
            );
        }
    }

    #[test]
    fn t6_a_checkout_repeats_only_while_the_chain_stands_at_its_token() {
        let start = Chain::start(Token([1; 16]));
        assert_eq!(Chain::repeat(Some(start), Token([1; 16])), Ok(start));
        let second = Chain::step(Some(start), link(1, 2)).unwrap();
        assert_eq!(
            Chain::repeat(Some(second), Token([1; 16])),
            Err(Stray::Branch)
        );
        assert!(Chain::repeat(None, Token([1; 16])).is_ok());
    }
}
