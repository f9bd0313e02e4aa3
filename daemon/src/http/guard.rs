//! Whose request may go on: the token, its scope, the time and the places it takes.
//!
//! A secret of 256 bits is not guessed; what the limit on bad tokens protects is our time and our log. So it is asked
//! after the token: who shares an address with a nuisance (a gateway, a proxy, this machine) is not kept out by it.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use usher_client::clock::Clock;
use usher_protocol::time::BootMs;

use super::{
    connection::Peer,
    failure::{self, Failure},
    server::Shared,
};
use crate::{
    limits,
    tokens::{Scope, Token, Unknown},
};

/// What a route asks of who comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: it says nothing of this site.
    Nothing,
    /// Any token.
    AnyToken,
    /// A token of this scope.
    Scope(Scope),
    /// Scope `read`, or to be on this machine where the configuration says so.
    Metrics,
}

/// Stands before every route.
pub(super) async fn stand(
    State((shared, need)): State<(Arc<Shared>, Need)>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Err(failure) = admit(&shared, need, &mut request) {
        return failure.into_response();
    }
    let answered = in_turn(&shared, next.run(request)).await;
    answered.unwrap_or_else(IntoResponse::into_response)
}

/// Runs what answers as soon as it is its turn.
///
/// # Errors
/// There was too much to do.
pub(super) async fn in_turn(
    shared: &Shared,
    answer: impl Future<Output = Response>,
) -> Result<Response, Failure> {
    let answered = async {
        // Bounded: so many of the core's queue, and no more (A3).
        let _turn = shared.turns.acquire().await;
        answer.await
    };
    let answered = tokio::time::timeout(limits::HTTP_ANSWER_MS_MAX.to_std(), answered);
    answered.await.map_err(|_| {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let detail = "usherd has too much to do to answer in time";
        Failure::new(status, failure::UNAVAILABLE, detail).retry_after(limits::BUSY_RETRY_MS)
    })
}

fn admit(shared: &Shared, need: Need, request: &mut Request) -> Result<(), Failure> {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    let here = peer.is_some_and(|address| address.is_loopback());
    match need {
        Need::Nothing => return Ok(()),
        Need::Metrics if shared.config.metrics_open_on_localhost && here => return Ok(()),
        _ => {}
    }
    let token = known(shared, bearer(request.headers()), peer)?;
    let needed = match need {
        Need::Scope(scope) => Some(scope),
        Need::Metrics => Some(Scope::Read),
        Need::Nothing | Need::AnyToken => None,
    };
    if let Some(needed) = needed.filter(|needed| !token.scope.includes(*needed)) {
        let (has, needed) = (token.scope.word(), needed.word());
        let detail = format!("this token's scope is `{has}`, and this needs `{needed}`");
        return Err(Failure::new(
            StatusCode::FORBIDDEN,
            failure::SCOPE_TOO_SMALL,
            detail,
        ));
    }
    request.extensions_mut().insert(token);
    Ok(())
}

/// The token of a secret, if one was presented and is a token's. Bad ones are counted.
///
/// # Errors
/// 401, or 429 where too many bad ones came from that address.
pub(super) fn known(
    shared: &Shared,
    presented: Option<&str>,
    peer: Option<IpAddr>,
) -> Result<Token, Failure> {
    let now = Clock::new().now();
    match shared
        .admin
        .tokens
        .check(presented.unwrap_or_default(), now.wall)
    {
        Ok(token) => Ok(token),
        Err(Unknown::Expired) => Err(Failure::new(
            StatusCode::UNAUTHORIZED,
            failure::KEY_EXPIRED,
            "this token has ended; usherd token rotate, or usherd token new",
        )),
        Err(Unknown::Invalid) => {
            if presented.is_some()
                && peer.is_some_and(|it| shared.bad.is_one_too_many(it, now.boot))
            {
                let detail = "too many bad tokens came from this address";
                return Err(Failure::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    failure::TOO_MANY_REQUESTS,
                    detail,
                )
                .retry_after(limits::HTTP_BAD_TOKENS_MS));
            }
            let detail = match presented {
                Some(_) => "no such token, or no longer",
                None => "send `Authorization: Bearer TOKEN` (usherd token new)",
            };
            let status = StatusCode::UNAUTHORIZED;
            Err(Failure::new(status, failure::KEY_INVALID, detail))
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// How many bad tokens each address showed lately.
#[derive(Debug, Default)]
pub(super) struct BadTokens(Mutex<HashMap<IpAddr, (BootMs, u32)>>);

impl BadTokens {
    /// Counts one more, and says whether it is past the bound.
    fn is_one_too_many(&self, address: IpAddr, now: BootMs) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |since: BootMs| now.since(since) >= limits::HTTP_BAD_TOKENS_MS;
        if counts.len() >= limits::HTTP_BAD_ADDRESSES_MAX {
            counts.retain(|_, (since, _)| !is_over(*since));
        }
        if counts.len() >= limits::HTTP_BAD_ADDRESSES_MAX {
            counts.clear();
        }
        let (since, count) = counts.entry(address).or_insert((now, 0));
        if is_over(*since) {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        if *count == limits::HTTP_BAD_TOKENS_MAX + 1 {
            // Once a minute and address: the log is not theirs to fill.
            tracing::warn!(
                event = "bad-tokens",
                "HTTPS: many bad tokens from {address}"
            );
        }
        *count > limits::HTTP_BAD_TOKENS_MAX
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn bad_tokens_of_one_address_are_counted_for_a_minute() {
        let bad = BadTokens::default();
        let address = |last| IpAddr::from(Ipv4Addr::new(10, 0, 0, last));
        let now = BootMs(5);
        for _ in 0..limits::HTTP_BAD_TOKENS_MAX {
            assert!(!bad.is_one_too_many(address(1), now));
        }
        assert!(bad.is_one_too_many(address(1), now));
        assert!(!bad.is_one_too_many(address(2), now));
        let later = now.plus(limits::HTTP_BAD_TOKENS_MS);
        assert!(!bad.is_one_too_many(address(1), later));
    }

    #[test]
    fn many_addresses_cost_no_more_memory_than_the_bound() {
        let bad = BadTokens::default();
        for number in 0..=2 * u32::try_from(limits::HTTP_BAD_ADDRESSES_MAX).unwrap() {
            bad.is_one_too_many(Ipv4Addr::from(number).into(), BootMs(1));
        }
        assert!(bad.0.lock().unwrap().len() <= limits::HTTP_BAD_ADDRESSES_MAX);
    }

    #[test]
    fn a_token_is_what_follows_bearer() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(of("Bearer usht_a"), Some("usht_a".to_owned()));
        assert_eq!(of("bearer  usht_a"), Some("usht_a".to_owned()));
        assert_eq!(of("Basic usht_a"), None);
        assert_eq!(of("usht_a"), None);
    }
}
