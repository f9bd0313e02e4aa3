//! News for pages that are looked at: one glimpse a second for all of them together, and none while nobody looks.
//!
//! A viewer gets the newest glimpse when it has read the one before; what it missed meanwhile costs nothing. One that
//! reads nothing is let go with its connection. Bounded in number: further ones are told the newest glimpse there is, and
//! to ask again after a while.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    task::{Context, Poll},
};

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use hyper::body::Frame as BodyFrame;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use usher_client::clock::Clock;

use super::{gate, glimpse::Glimpse};
use crate::{
    http::{api, connection::Alive, server::Shared},
    limits,
};

/// Who looks, and what they see.
#[derive(Debug)]
pub(super) struct Live {
    news: watch::Sender<Option<Arc<str>>>,
    is_running: Mutex<bool>,
    places: Arc<Semaphore>,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            news: watch::Sender::new(None),
            is_running: Mutex::new(false),
            places: Arc::new(Semaphore::new(limits::HTTP_VIEWERS_MAX)),
        }
    }
}

/// `GET /dashboard/live`: events `news` with a [`Glimpse`], and `end` when the session has ended.
pub(super) async fn stream(
    State(shared): State<Arc<Shared>>,
    alive: Option<Extension<Alive>>,
    headers: HeaderMap,
) -> Response {
    let live = &shared.dashboard.live;
    let Ok(place) = Arc::clone(&live.places).try_acquire_owned() else {
        return of_events(Body::from(crowded(live.news.borrow().as_deref())));
    };
    let secret = gate::cookie(&headers, &shared.dashboard.cookie);
    let viewer = Viewer {
        secret: secret.unwrap_or_default().to_owned(),
        news: live.look(&shared),
        shared: Arc::downgrade(&shared),
        _place: place,
    };
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(viewer.tell(sender));
    of_events(Body::new(Events {
        events: receiver,
        alive: alive.map(|Extension(alive)| alive),
    }))
}

fn of_events(body: Body) -> Response {
    let mut response = body.into_response();
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// For a page too many: it is fresh now, and its browser comes again by itself.
fn crowded(news: Option<&str>) -> String {
    let (again, places) = (limits::HTTP_CROWDED_MS.0, limits::HTTP_VIEWERS_MAX);
    let news = news.map(|it| format!("event: news\ndata: {it}\n\n"));
    format!(
        "retry: {again}\nevent: crowded\ndata: {places}\n\n{}",
        news.unwrap_or_default()
    )
}

impl Live {
    /// Begins to look; wakes who prepares the news.
    fn look(&self, shared: &Arc<Shared>) -> watch::Receiver<Option<Arc<str>>> {
        let mut is_running = self.is_running();
        let mut news = self.news.subscribe();
        news.mark_changed();
        if !*is_running {
            *is_running = true;
            // What was seen last may be hours old.
            self.news.send_replace(None);
            tokio::spawn(prepare(Arc::downgrade(shared)));
        }
        news
    }

    /// True where nobody looks any more; whoever looks next wakes the next one.
    fn rests(&self) -> bool {
        let mut is_running = self.is_running();
        *is_running = self.news.receiver_count() > 0;
        !*is_running
    }

    fn is_running(&self) -> std::sync::MutexGuard<'_, bool> {
        self.is_running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks the core once a second for as long as somebody looks.
async fn prepare(shared: Weak<Shared>) {
    while let Some(shared) = shared.upgrade() {
        let live = &shared.dashboard.live;
        if live.rests() {
            return;
        }
        if let Some(text) = glimpse(&shared).await {
            live.news.send_if_modified(|news| {
                let is_new = news.as_deref() != Some(&*text);
                if is_new {
                    *news = Some(text.into());
                }
                is_new
            });
        }
        drop(shared);
        tokio::time::sleep(limits::HTTP_NEWS_MS.to_std()).await;
    }
}

/// None where the core does not answer just now: there is no news then.
async fn glimpse(shared: &Shared) -> Option<String> {
    let status = api::status_for(shared, ACTOR).await.ok()?;
    let licenses = api::licenses_for(shared, ACTOR).await.ok()?;
    let counts = shared.admin.core.meter().read();
    let glimpse = Glimpse::of(&status, &licenses, &counts);
    serde_json::to_string(&glimpse).ok()
}

/// Somebody's open page.
struct Viewer {
    secret: String,
    news: watch::Receiver<Option<Arc<str>>>,
    shared: Weak<Shared>,
    _place: OwnedSemaphorePermit,
}

impl Viewer {
    async fn tell(mut self, to: mpsc::Sender<Bytes>) {
        loop {
            let event = tokio::select! {
                () = to.closed() => return,
                changed = self.news.changed() => match changed {
                    Ok(()) => self.news.borrow_and_update().as_ref().map(|it| event("news", it)),
                    Err(_) => return,
                },
                () = tokio::time::sleep(limits::HTTP_NEWS_SILENCE_MS_MAX.to_std()) => {
                    Some(Bytes::from_static(b": still here\n\n"))
                }
            };
            let stands = self.stands();
            let event = if stands { event } else { Some(event_of_end()) };
            if let Some(event) = event
                && to.send(event).await.is_err()
            {
                return;
            }
            if !stands {
                return;
            }
        }
    }

    /// A session may end while its page is looked at: its token is revoked, or nobody is there.
    fn stands(&self) -> bool {
        let Some(shared) = self.shared.upgrade() else {
            return false;
        };
        let (sessions, register) = (&shared.dashboard.sessions, &shared.admin.tokens);
        let token = sessions.token(&self.secret, register, Clock::new().now());
        token.is_some()
    }
}

fn event(name: &str, data: &str) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}

fn event_of_end() -> Bytes {
    event("end", "signed out")
}

/// What goes out, one event after the other, each when the one before is on its way.
pub(in crate::http) struct Events {
    pub(in crate::http) events: mpsc::Receiver<Bytes>,
    pub(in crate::http) alive: Option<Alive>,
}

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Infallible>>> {
        let polled = self.events.poll_recv(context);
        if let (Poll::Ready(Some(_)), Some(alive)) = (&polled, &self.alive) {
            alive.touch();
        }
        polled.map(|event| event.map(|bytes| Ok(BodyFrame::data(bytes))))
    }
}

/// Who asks, where nobody in particular does.
const ACTOR: &str = "dashboard";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_event_whatever_is_in_it() {
        let data = serde_json::to_string("a\n\nevent: end\ndata: x").unwrap();
        let bytes = event("news", &data);
        let text = std::str::from_utf8(&bytes).unwrap();
        assert_eq!(text.matches('\n').count(), 3, "{text}");
    }

    #[test]
    fn who_prepares_rests_when_nobody_looks() {
        let live = Live::default();
        let viewer = live.news.subscribe();
        assert!(!live.rests());
        drop(viewer);
        assert!(live.rests());
    }
}
