//! Tokens of the HTTPS server: made, listed, rotated and revoked. Decides nothing: `tokens` does.

use usher_client::clock::Clock;
use usher_protocol::time::DurationMs;

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
                self.token_new(actor, new).await
            }
            Ask::TokenRotate { token, grace_ms } => self.token_rotate(actor, token, grace_ms).await,
            Ask::TokenRevoke { token } => self.token_revoke(actor, token).await,
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

    async fn token_new(&self, actor: &str, new: NewToken) -> Answer {
        let now = Clock::new().now().wall;
        match self.change(move |tokens| tokens.add(new, now)).await {
            Ok((token, secret)) => {
                let (name, scope) = (token.name.as_str(), token.scope.word());
                tracing::info!(
                    event = "token-made",
                    notice = true,
                    actor,
                    token = name,
                    scope,
                    "{actor} made the token {name} ({scope})"
                );
                self.shown(token, secret).await
            }
            Err(error) => Answer::failed(error.to_string()),
        }
    }

    async fn token_rotate(&self, actor: &str, word: String, grace_ms: DurationMs) -> Answer {
        let now = Clock::new().now().wall;
        let rotate = move |tokens: &Register| tokens.rotate(&word, grace_ms, now);
        match self.change(rotate).await {
            Ok((token, secret)) => {
                let (name, scope) = (token.name.as_str(), token.scope.word());
                tracing::info!(
                    event = "token-rotated",
                    notice = true,
                    actor,
                    token = name,
                    scope,
                    "{actor} rotated the token {name} ({scope}); its old secret ends in {grace_ms}"
                );
                self.shown(token, secret).await
            }
            Err(error) => Answer::failed(error.to_string()),
        }
    }

    async fn token_revoke(&self, actor: &str, word: String) -> Answer {
        match self.change(move |tokens| tokens.revoke(&word)).await {
            Ok(token) => {
                let (name, scope) = (token.name.as_str(), token.scope.word());
                tracing::info!(
                    event = "token-revoked",
                    notice = true,
                    actor,
                    token = name,
                    scope,
                    "{actor} revoked the token {name} ({scope})"
                );
                Answer::Done
            }
            Err(error) => Answer::failed(error.to_string()),
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

    /// With its secret, which is told here and nowhere else.
    async fn shown(&self, token: Token, secret: Secret) -> Answer {
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
