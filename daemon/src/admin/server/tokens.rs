//! Tokens of the HTTPS server: made, listed, rotated and revoked. Decides nothing: `tokens` does.

use usher_client::clock::Clock;

use super::AdminParts;
use crate::{
    admin::protocol::{Answer, Ask, TokenMade, TokenReport},
    http::HttpState,
    limits,
    tokens::{NewToken, Register, Secret, Token, TokenError},
};

impl AdminParts {
    /// The verbs about tokens.
    pub(super) async fn token(&self, actor: &str, ask: Ask) -> Answer {
        let now = Clock::new().now().wall;
        match ask {
            Ask::TokenNew {
                name,
                scope,
                lives_ms,
                seats,
            } => {
                let new = NewToken {
                    name,
                    scope,
                    lives_ms,
                    seats,
                };
                let made = self.change(move |tokens| tokens.add(new, now)).await;
                self.made(actor, "made", made).await
            }
            Ask::TokenRotate { token, grace_ms } => {
                let made = self
                    .change(move |tokens| tokens.rotate(&token, grace_ms, now))
                    .await;
                self.made(actor, "rotated", made).await
            }
            Ask::TokenRevoke { token } => {
                match self.change(move |tokens| tokens.revoke(&token)).await {
                    Ok(token) => {
                        tracing::info!(
                            event = "token-revoked",
                            notice = true,
                            "{actor} revoked the token {}",
                            token.name
                        );
                        Answer::Done
                    }
                    Err(error) => Answer::failed(error.to_string()),
                }
            }
            Ask::Tokens => {
                let tokens = self.tokens.list();
                Answer::Tokens(tokens.into_iter().map(TokenReport::from).collect())
            }
            Ask::HttpCertificate => match &*self.http.borrow() {
                HttpState::On { certificate, .. } => Answer::HttpCertificate(certificate.clone()),
                other => Answer::failed(other.to_string()),
            },
            _ => Answer::failed("this usherd does not know that verb"),
        }
    }

    /// The register waits for the disk; the runtime does not.
    async fn change<T: Send + 'static>(
        &self,
        how: impl FnOnce(&Register) -> Result<T, TokenError> + Send + 'static,
    ) -> Result<T, TokenError> {
        let tokens = self.tokens.clone();
        let done = tokio::task::spawn_blocking(move || how(&tokens)).await;
        done.unwrap_or_else(|error| Err(TokenError::Wrong(format!("{error}; try again"))))
    }

    async fn made(
        &self,
        actor: &str,
        what: &str,
        made: Result<(Token, Secret), TokenError>,
    ) -> Answer {
        let (token, secret) = match made {
            Ok(made) => made,
            Err(error) => return Answer::failed(error.to_string()),
        };
        let scope = token.scope.word();
        tracing::info!(
            event = "token-made",
            notice = true,
            "{actor} {what} the token {} ({scope})",
            token.name
        );
        let state = self.http_state().await;
        Answer::TokenMade(Box::new(TokenMade {
            token: token.into(),
            secret,
            addresses: state.addresses(),
            problem: match state {
                HttpState::On { .. } => None,
                other => Some(other.to_string()),
            },
        }))
    }

    /// The first token makes the server listen, which takes a moment.
    async fn http_state(&self) -> HttpState {
        let mut states = self.http.clone();
        let settled = states.wait_for(|state| !matches!(state, HttpState::Waiting));
        let settled = tokio::time::timeout(limits::HTTP_START_MS_MAX.to_std(), settled).await;
        match settled {
            Ok(Ok(state)) => state.clone(),
            _ => self.http.borrow().clone(),
        }
    }
}
