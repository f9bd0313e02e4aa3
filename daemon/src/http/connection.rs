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
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_rustls::TlsAcceptor;

use crate::limits;

/// What lets connections in. Cheap to clone.
#[derive(Clone)]
pub(super) struct Door {
    tls: TlsAcceptor,
    router: Router,
    places: Arc<Semaphore>,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// From where a request came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

/// A connection's place; gone with it.
struct Place {
    address: IpAddr,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    _one_of_all: OwnedSemaphorePermit,
}

impl Door {
    pub(super) fn new(tls: Arc<ServerConfig>, router: Router) -> Self {
        Self {
            tls: tls.into(),
            router,
            places: Arc::new(Semaphore::new(limits::HTTP_CONNECTIONS_MAX)),
            by_address: Arc::default(),
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
    let peer_known = Peer(place.address);
    let router = TowerToHyperService::new(door.router);
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer_known);
        router.call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HTTP_IDLE_MS_MAX.to_std())
        .max_buf_size(limits::HTTP_HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!("an HTTPS connection of {peer} ended: {error}");
    }
}

fn lock<T>(it: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}
