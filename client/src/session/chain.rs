//! Decides which tokens a renewal shows: the client's end of the chain that makes copies of a lease
//! visible (T6). Must not draw them: they come in.

use usher_protocol::{ids::Token, wire::Link};

/// The last step the server acknowledged, and the step under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chain {
    acknowledged: Token,
    under_way: Option<Token>,
}

impl Chain {
    /// A chain that begins with a checkout's token.
    pub(super) fn new(first: Token) -> Self {
        Self {
            acknowledged: first,
            under_way: None,
        }
    }

    /// The step to show. `fresh` is used only if none is under way: a retry shows the same step, or
    /// the server would see two holders.
    pub(super) fn link(&mut self, fresh: Token) -> Link {
        let next = *self.under_way.get_or_insert(fresh);
        Link {
            previous: self.acknowledged,
            next,
        }
    }

    /// The last acknowledged token, and the one sent since.
    pub(super) fn parts(&self) -> (Token, Option<Token>) {
        (self.acknowledged, self.under_way)
    }

    /// The server answered the step under way.
    pub(super) fn acknowledge(&mut self) {
        if let Some(next) = self.under_way.take() {
            self.acknowledged = next;
        }
    }

    /// The token a checkout begins the chain with, as long as none was acknowledged.
    pub(super) fn first(&self) -> Token {
        self.acknowledged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t6_a_retry_shows_the_same_step_and_an_answer_ends_it() {
        let [first, second, third, unused] = [1, 2, 3, 9].map(|byte| Token([byte; 16]));
        let mut chain = Chain::new(first);
        let link = chain.link(second);
        assert_eq!((link.previous, link.next), (first, second));
        assert_eq!(chain.link(unused), link);
        assert_eq!(chain.first(), first);
        chain.acknowledge();
        let link = chain.link(third);
        assert_eq!((link.previous, link.next), (second, third));
    }
}
