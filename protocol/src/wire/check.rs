//! Bounds of what a client asks, checked at the edge before the engine sees it (A3).
//!
//! Shapes and names were checked by decoding. What the license allows is the engine's question.

use super::{Borrow, Checkout, Holder, Request};
use crate::{
    limits::{BORROW_MS_MAX, FEATURES_PER_CHECKOUT_MAX, HOLDER_BYTES_MAX, SEATS_PER_CHECKOUT_MAX},
    refusal::{Refusal, RefusalCode},
    time::DurationMs,
};

/// A request whose field makes no sense; becomes a [`Refusal`] of [`RefusalCode::BadRequest`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}`: {problem}")]
pub struct BadRequest {
    /// Which field, as [`Request`] names it.
    pub field: &'static str,
    /// What is wrong with it, and what was expected.
    pub problem: String,
}

impl From<BadRequest> for Refusal {
    fn from(error: BadRequest) -> Self {
        Self::new(RefusalCode::BadRequest, error.to_string())
    }
}

impl Request {
    /// Whether the request makes sense at all.
    ///
    /// # Errors
    /// [`BadRequest`], which names the field.
    pub fn check(&self) -> Result<(), BadRequest> {
        match self {
            Self::Checkout(checkout) => checkout.check(),
            Self::Renew(renew) => check_length(renew.length_ms),
            Self::Attach(attach) => check_length(attach.length_ms),
            Self::CheckoutAll(all) => check_all(all),
            Self::Borrow(borrow) => borrow.check(),
            Self::Release(_)
            | Self::Leave(_)
            | Self::Features
            | Self::Holders(_)
            | Self::Endorsement(_) => Ok(()),
        }
    }
}

/// A set is asked for by one holder, waits as one, and has a nonce for each lease (L5).
fn check_all(all: &[Checkout]) -> Result<(), BadRequest> {
    if !(1..=FEATURES_PER_CHECKOUT_MAX).contains(&all.len()) {
        let problem = format!(
            "expected 1 to {FEATURES_PER_CHECKOUT_MAX} features, not {}",
            all.len()
        );
        return Err(bad_request("checkouts", &problem));
    }
    for (index, checkout) in all.iter().enumerate() {
        checkout.check()?;
        let before = &all[..index];
        if before.iter().any(|it| it.nonce == checkout.nonce) {
            return Err(bad_request(
                "nonce",
                "expected a fresh one for each feature",
            ));
        }
        if before.iter().any(|it| it.feature == checkout.feature) {
            let problem = "expected each feature once; ask for more seats of it instead";
            return Err(bad_request("feature", problem));
        }
        if checkout.wait != all[0].wait || checkout.holder != all[0].holder {
            return Err(bad_request(
                "checkouts",
                "expected one holder, and all to wait or none",
            ));
        }
    }
    Ok(())
}

impl Borrow {
    fn check(&self) -> Result<(), BadRequest> {
        self.checkout.check()?;
        if self.checkout.length_ms.is_none() {
            return Err(bad_request("length_ms", "expected for how long to borrow"));
        }
        if self.checkout.wait {
            return Err(bad_request("wait", "a borrow does not wait in the queue"));
        }
        Ok(())
    }
}

impl Checkout {
    fn check(&self) -> Result<(), BadRequest> {
        if !(1..=SEATS_PER_CHECKOUT_MAX).contains(&self.seats) {
            return Err(bad_request(
                "seats",
                &format!("expected 1 to {SEATS_PER_CHECKOUT_MAX}, not {}", self.seats),
            ));
        }
        check_length(self.length_ms)?;
        self.holder.check()
    }
}

impl Holder {
    /// Whether the client's own words are short and printable. A client asks this before it sends.
    ///
    /// # Errors
    /// [`BadRequest`], which names the field.
    pub fn check(&self) -> Result<(), BadRequest> {
        check_words("holder.user", &self.user)?;
        check_words("holder.host", &self.host)?;
        match &self.display {
            Some(display) => check_words("holder.display", display),
            None => Ok(()),
        }
    }
}

fn check_words(field: &'static str, text: &str) -> Result<(), BadRequest> {
    if text.is_empty() || text.len() > HOLDER_BYTES_MAX {
        let found = text.len();
        return Err(bad_request(
            field,
            &format!("expected 1 to {HOLDER_BYTES_MAX} bytes, not {found}"),
        ));
    }
    // Others see these words in their terminals.
    if text.chars().any(char::is_control) {
        return Err(bad_request(field, "expected no control characters"));
    }
    Ok(())
}

fn check_length(length: Option<DurationMs>) -> Result<(), BadRequest> {
    match length {
        Some(length) if length == DurationMs::ZERO || length > BORROW_MS_MAX => Err(bad_request(
            "length_ms",
            &format!("expected more than 0s and at most {BORROW_MS_MAX}, not {length}"),
        )),
        _ => Ok(()),
    }
}

fn bad_request(field: &'static str, problem: &str) -> BadRequest {
    BadRequest {
        field,
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::{Nonce, Token},
        wire::Environment,
    };

    fn checkout() -> Checkout {
        Checkout {
            wait: false,
            nonce: Nonce([1; 16]),
            token: Token([2; 16]),
            feature: "solver".parse().unwrap(),
            environment: Environment::Live,
            seats: 1,
            version: None,
            length_ms: Some(DurationMs::minutes(10)),
            holder: Holder {
                user: "ada".to_owned(),
                host: "ws01".to_owned(),
                display: Some(":0".to_owned()),
                process: 7,
            },
        }
    }

    #[test]
    fn a_bad_field_is_named() {
        type Change = fn(&mut Checkout);
        let cases: [(&str, Change); 9] = [
            ("seats", |it| it.seats = 0),
            ("seats", |it| it.seats = u32::MAX),
            ("length_ms", |it| it.length_ms = Some(DurationMs::ZERO)),
            ("length_ms", |it| it.length_ms = Some(DurationMs(u64::MAX))),
            ("holder.user", |it| it.holder.user = String::new()),
            ("holder.user", |it| it.holder.user = "a".repeat(129)),
            ("holder.host", |it| it.holder.host = "a\u{1b}[2J".to_owned()),
            ("holder.host", |it| it.holder.host = "a\nb".to_owned()),
            ("holder.display", |it| {
                it.holder.display = Some(String::new());
            }),
        ];
        for (field, change) in cases {
            let mut bad = checkout();
            change(&mut bad);
            let error = Request::Checkout(bad).check().unwrap_err();
            assert_eq!(error.field, field);
            assert_eq!(Refusal::from(error).code, RefusalCode::BadRequest);
        }
        assert_eq!(Request::Checkout(checkout()).check(), Ok(()));
    }

    #[test]
    fn a3_what_is_just_within_its_bounds_is_asked() {
        let ok = |change: fn(&mut Checkout)| {
            let mut it = checkout();
            change(&mut it);
            assert_eq!(Request::Checkout(it).check(), Ok(()));
        };
        ok(|it| it.seats = SEATS_PER_CHECKOUT_MAX);
        ok(|it| it.length_ms = Some(BORROW_MS_MAX));
        ok(|it| it.length_ms = Some(DurationMs(1)));
        ok(|it| it.length_ms = None);
        ok(|it| it.holder.user = "a".repeat(HOLDER_BYTES_MAX));
        let mut over = checkout();
        over.length_ms = Some(BORROW_MS_MAX.plus(DurationMs(1)));
        assert_eq!(
            Request::Checkout(over).check().unwrap_err().field,
            "length_ms"
        );
    }

    #[test]
    fn a3_each_kind_of_request_has_its_length_checked() {
        let link = crate::wire::Link {
            previous: Token([1; 16]),
            next: Token([2; 16]),
        };
        let id = crate::ids::LeaseId {
            epoch: crate::ids::Epoch(1),
            commit: crate::ids::Commit(1),
        };
        let renew = |length_ms| {
            Request::Renew(crate::wire::Renew {
                idle_ms: None,
                lease: id,
                nonce: Nonce([1; 16]),
                link,
                length_ms,
            })
        };
        assert_eq!(renew(None).check(), Ok(()));
        assert_eq!(
            renew(Some(DurationMs::ZERO)).check().unwrap_err().field,
            "length_ms"
        );
        let borrow = |change: fn(&mut Checkout)| {
            let mut checkout = checkout();
            change(&mut checkout);
            let wall = crate::time::WallMs(1);
            Request::Borrow(Borrow { checkout, wall }).check()
        };
        assert_eq!(borrow(|_| {}), Ok(()));
        assert_eq!(
            borrow(|it| it.length_ms = None).unwrap_err().field,
            "length_ms"
        );
        assert_eq!(borrow(|it| it.wait = true).unwrap_err().field, "wait");
        assert_eq!(borrow(|it| it.seats = 0).unwrap_err().field, "seats");
    }

    #[test]
    fn a3_a_set_is_of_one_holder_and_each_of_its_features_is_another() {
        let other = |change: fn(&mut Checkout)| {
            let mut other = checkout();
            other.nonce = Nonce([9; 16]);
            other.feature = "mesher".parse().unwrap();
            change(&mut other);
            let set = Request::CheckoutAll(vec![checkout(), other]);
            set.check().map_err(|error| error.field)
        };
        assert_eq!(other(|_| {}), Ok(()));
        assert_eq!(other(|it| it.nonce = Nonce([1; 16])), Err("nonce"));
        assert_eq!(
            other(|it| it.feature = "solver".parse().unwrap()),
            Err("feature")
        );
        assert_eq!(other(|it| it.wait = true), Err("checkouts"));
        assert_eq!(other(|it| it.holder.process = 8), Err("checkouts"));
        assert_eq!(other(|it| it.seats = 0), Err("seats"));
        let sized = |count: u8| {
            let set = (0..count).map(|number| Checkout {
                nonce: Nonce([number; 16]),
                feature: format!("f{number}").parse().unwrap(),
                ..checkout()
            });
            Request::CheckoutAll(set.collect()).check()
        };
        assert_eq!(sized(1), Ok(()));
        assert_eq!(sized(8), Ok(()));
        assert_eq!(sized(0).unwrap_err().field, "checkouts");
        assert_eq!(sized(9).unwrap_err().field, "checkouts");
    }
}
