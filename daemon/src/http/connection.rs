//! One connection: TLS, then requests one after the other. Decides what a connection may cost (A3).

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use axum::Router;
use hyper::{
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};
use tokio_rustls::TlsAcceptor;

use usher_protocol::time::DurationMs;

use crate::limits;

/// What lets connections in. Cheap to clone.
#[derive(Clone)]
pub(super) struct Door {
    tls: TlsAcceptor,
    router: Router,
    places: Arc<Semaphore>,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    /// How long a connection may neither ask nor read its answer.
    idle_ms: DurationMs,
}

/// From where a request came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

/// Keeps a connection whose answer has no end: to be touched whenever its reader has taken a piece of it.
#[derive(Debug, Clone)]
pub(super) struct Alive(watch::Sender<bool>);

impl Alive {
    pub(super) fn touch(&self) {
        self.0.send_modify(|_| {});
    }
}

/// A connection's place; gone with it.
struct Place {
    address: IpAddr,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    _one_of_all: OwnedSemaphorePermit,
}

impl Door {
    pub(super) fn new(tls: Arc<ServerConfig>, router: Router, idle_ms: DurationMs) -> Self {
        Self {
            tls: tls.into(),
            router,
            places: Arc::new(Semaphore::new(limits::HTTP_CONNECTIONS_MAX)),
            by_address: Arc::default(),
            idle_ms,
        }
    }

    fn place(&self, address: IpAddr, one_of_all: OwnedSemaphorePermit) -> Option<Place> {
        let mut by_address = lock(&self.by_address);
        let count = by_address.entry(address).or_default();
        if *count >= limits::HTTP_CONNECTIONS_PER_ADDRESS_MAX {
            return None;
        }
        *count += 1;
        Some(Place {
            address,
            by_address: Arc::clone(&self.by_address),
            _one_of_all: one_of_all,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_address = lock(&self.by_address);
        if let Some(count) = by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

/// Lets connections in for as long as it is polled.
pub(super) async fn accept(listener: TcpListener, door: Door) {
    loop {
        // Before a connection is taken: what finds no room waits in the kernel.
        let Ok(one_of_all) = Arc::clone(&door.places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let address = peer.ip().to_canonical();
                if let Some(place) = door.place(address, one_of_all) {
                    tokio::spawn(serve(stream, peer, door.clone(), place));
                }
            }
            Err(error) => {
                tracing::warn!("HTTPS takes nobody: {error}");
                tokio::time::sleep(limits::LINGER_MS.to_std()).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, door: Door, place: Place) {
    let handshake = door.tls.accept(stream);
    let handshake = tokio::time::timeout(limits::HTTP_HANDSHAKE_MS_MAX.to_std(), handshake);
    // What strangers get wrong here is theirs to look into: a log of it would be theirs to fill.
    let Ok(Ok(stream)) = handshake.await else {
        return;
    };
    let (busy, mut is_busy) = watch::channel(false);
    let peer_known = Peer(place.address);
    let router = TowerToHyperService::new(door.router);
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        busy.send_replace(true);
        request.extensions_mut().insert(peer_known);
        request.extensions_mut().insert(Alive(busy.clone()));
        let (answer, busy) = (router.call(request), busy.clone());
        async move {
            let answer = answer.await;
            busy.send_replace(false);
            answer
        }
    });
    let connection = http1::Builder::new()
        // hyper's own limit would cut a silent connection off in the middle; ours below ends it.
        .header_read_timeout(None)
        .max_buf_size(limits::HTTP_HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    loop {
        let answering = *is_busy.borrow_and_update();
        tokio::select! {
            served = &mut connection => {
                if let Err(error) = served {
                    tracing::debug!("an HTTPS connection of {peer} ended: {error}");
                }
                return;
            }
            // The connection holds the sender; its own end shows above.
            _ = is_busy.changed() => {}
            // Whoever is silent, sends half a head, or reads no answer.
            () = tokio::time::sleep(door.idle_ms.to_std()), if !answering => {
                // With TLS's goodbye: without it a client that keeps connections could not tell this end from an attack.
                connection.as_mut().graceful_shutdown();
                drop(tokio::time::timeout(limits::LINGER_MS.to_std(), &mut connection).await);
                return;
            }
        }
    }
}

fn lock<T>(it: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use axum::{
        Extension,
        body::{Body, Bytes},
        routing::get,
    };
    use rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, pem::PemObject as _},
    };
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        sync::mpsc,
    };
    use tokio_rustls::{TlsConnector, client::TlsStream};

    use super::*;
    use crate::{
        config::HttpConfig,
        http::{dashboard::live::Events, tls},
    };

    /// A connection to a server that lets nobody be silent for longer than half a second.
    async fn connected() -> TlsStream<TcpStream> {
        let dir = tempfile::tempdir().unwrap();
        let certificate = tls::certificate(&HttpConfig::default(), dir.path()).unwrap();
        let router = Router::new().route(
            "/slow",
            get(|| async {
                tokio::time::sleep((IDLE_MS.plus(IDLE_MS)).to_std()).await;
                "done"
            }),
        );
        let router = router
            .route(
                "/endless",
                get(|alive: Extension<Alive>| async move { pieces(alive, IDLE_MS.to_std() / 5) }),
            )
            .route(
                "/stuck",
                get(|alive: Extension<Alive>| async move { pieces(alive, IDLE_MS.to_std() * 3) }),
            );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(accept(
            listener,
            Door::new(certificate.config, router, IDLE_MS),
        ));
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(certificate.pem.as_bytes()).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(address).await.unwrap();
        let name = "localhost".try_into().unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect(name, stream).await.unwrap()
    }

    /// An answer of ten pieces, so far apart.
    fn pieces(Extension(alive): Extension<Alive>, apart: std::time::Duration) -> Body {
        let (sender, events) = mpsc::channel(1);
        tokio::spawn(async move {
            for piece in ["1", "2", "3", "4", "5", "6", "7", "8", "9", "done"] {
                tokio::time::sleep(apart).await;
                if sender
                    .send(Bytes::from_static(piece.as_bytes()))
                    .await
                    .is_err()
                {
                    return;
                }
            }
        });
        let alive = Some(alive);
        Body::new(Events { events, alive })
    }

    /// All that comes until the server ends the connection; a server that does not hangs the test.
    async fn heard(stream: &mut TlsStream<TcpStream>) -> String {
        let mut bytes = Vec::new();
        // Cut off without a goodbye is an end as well.
        drop(stream.read_to_end(&mut bytes).await);
        String::from_utf8(bytes).unwrap()
    }

    #[tokio::test]
    async fn a3_who_says_nothing_or_half_a_head_is_let_go() {
        for said in ["", "GET /slow HTTP/1.1\r\nHost: a\r\n"] {
            let mut stream = connected().await;
            stream.write_all(said.as_bytes()).await.unwrap();
            let answer = heard(&mut stream).await;
            assert!(!answer.contains("done"), "{answer}");
        }
    }

    /// A client that keeps its connection for the next request must not take the end of it for a cut: rustls, like
    /// OpenSSL, gives an error where TLS's own goodbye is missing.
    #[tokio::test]
    async fn a_connection_that_is_kept_for_nothing_ends_with_a_goodbye() {
        for said in ["", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
            let mut stream = connected().await;
            stream.write_all(said.as_bytes()).await.unwrap();
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await.unwrap();
            let answer = String::from_utf8(bytes).unwrap();
            assert_eq!(answer.is_empty(), said.is_empty(), "{answer}");
        }
    }

    #[tokio::test]
    async fn a_request_that_takes_longer_is_answered() {
        let mut stream = connected().await;
        let asked = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n";
        stream.write_all(asked).await.unwrap();
        let answer = heard(&mut stream).await;
        assert!(answer.contains("done"), "{answer}");
    }

    #[tokio::test]
    async fn a3_an_answer_without_end_lasts_for_as_long_as_its_reader_takes_it() {
        for (path, is_whole) in [("/endless", true), ("/stuck", false)] {
            let mut stream = connected().await;
            let asked = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
            stream.write_all(asked.as_bytes()).await.unwrap();
            let answer = heard(&mut stream).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert_eq!(answer.contains("done"), is_whole, "{path}: {answer}");
        }
    }

    const IDLE_MS: DurationMs = DurationMs(500);
}
