//! The endpoints: accepts handshakes as admission allows, and ends in good order.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
};

use ed25519_dalek::SigningKey;
use quinn::{Endpoint, Incoming, ServerConfig, TokioRuntime, VarInt};
use usher_client::tls::{self, TlsError};
use usher_protocol::ids::PublicKey;

use super::{
    BindError,
    admission::{Admission, Verdict},
    bind, connection,
};
use crate::{core::CoreHandle, limits};

/// What every connection needs.
#[derive(Debug)]
pub struct ServerParts {
    /// Where questions go.
    pub core: CoreHandle,
    /// Signs leases; also the TLS key.
    pub site_key: SigningKey,
    /// Judges leases shown.
    pub site: PublicKey,
    /// The server's name for people.
    pub name: String,
    /// Connections from one address.
    pub connections_per_address_max: usize,
    /// Connections that hold no seat and wait for none.
    pub strangers_max: usize,
}

/// The running endpoints.
#[derive(Debug)]
pub struct Server {
    endpoints: Vec<Endpoint>,
    admission: Admission,
}

/// Why there is no network face.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// An address cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// TLS cannot be set up with this key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The runtime does not take the socket.
    #[error("cannot serve on the bound socket: {0}; see the kernel's log")]
    Socket(#[from] io::Error),
}

impl Server {
    /// Binds every address and begins to accept.
    ///
    /// # Errors
    /// [`ServerError`]; nothing stays bound then.
    pub fn start(addresses: &[SocketAddr], parts: ServerParts) -> Result<Self, ServerError> {
        let sockets = bind::bind_all(addresses)?;
        let config = tls::server_config(&parts.site_key)?;
        let admission = Admission::new(parts.connections_per_address_max, parts.strangers_max);
        let parts = Arc::new(parts);
        let mut endpoints = Vec::new();
        for socket in sockets {
            let endpoint = endpoint(socket, &parts.site_key, config.clone())?;
            tokio::spawn(accept(
                endpoint.clone(),
                admission.clone(),
                Arc::clone(&parts),
            ));
            endpoints.push(endpoint);
        }
        Ok(Self {
            endpoints,
            admission,
        })
    }

    /// The addresses bound, with their real ports.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.endpoints
            .iter()
            .filter_map(|endpoint| endpoint.local_addr().ok())
            .collect()
    }

    /// Connections and handshakes right now.
    pub fn connections(&self) -> usize {
        self.admission.open()
    }

    /// Lets what is answered leave, then closes every connection.
    pub async fn close(&self) {
        // Patience, not a deadline, so a timer that stops in a suspend will do.
        tokio::time::sleep(limits::LINGER_MS.to_std()).await;
        for endpoint in &self.endpoints {
            endpoint.close(CLOSE_DRAINING, b"draining");
        }
        let idle = async {
            for endpoint in &self.endpoints {
                endpoint.wait_idle().await;
            }
        };
        drop(tokio::time::timeout(limits::LINGER_MS.to_std(), idle).await);
    }
}

fn endpoint(
    socket: UdpSocket,
    site_key: &SigningKey,
    config: ServerConfig,
) -> Result<Endpoint, io::Error> {
    let runtime = Arc::new(TokioRuntime);
    Endpoint::new(
        tls::endpoint_config(site_key),
        Some(config),
        socket,
        runtime,
    )
}

async fn accept(endpoint: Endpoint, admission: Admission, parts: Arc<ServerParts>) {
    while let Some(incoming) = endpoint.accept().await {
        admit(incoming, &admission, &parts);
        // A handshake's cryptography is done here, with the endpoint locked: between two of them those who are
        // connected get their turn.
        tokio::task::yield_now().await;
    }
}

fn admit(incoming: Incoming, admission: &Admission, parts: &Arc<ServerParts>) {
    let address = incoming.remote_address().ip();
    match admission.judge(address, incoming.remote_address_validated()) {
        Verdict::Admit(permit) => {
            // An error here is the peer's: its first packet made no sense.
            if let Ok(connecting) = incoming.accept() {
                tokio::spawn(connection::serve(connecting, permit, Arc::clone(parts)));
            }
        }
        Verdict::Prove => {
            if let Err(error) = incoming.retry() {
                error.into_incoming().refuse();
            }
        }
        Verdict::Refuse => incoming.refuse(),
    }
}

/// The daemon is stopping; the client comes back later.
pub(super) const CLOSE_DRAINING: VarInt = VarInt::from_u32(1);
