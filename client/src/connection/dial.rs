//! Decides from which socket a server is dialed, and with which key. Must not judge the server.

use super::ConnectError;
use crate::{
    socket,
    tls::{self, ExpectedServer},
};
use ed25519_dalek::SigningKey;
use quinn::{ConnectionError, Endpoint, EndpointConfig};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use usher_protocol::ids::PublicKey;

/// Our key and our sockets, one for each address family; connections of one client share them.
///
/// Must be made and used within a tokio runtime.
#[derive(Debug, Clone)]
pub struct Dialer {
    key: SigningKey,
    v4: Result<Endpoint, String>,
    v6: Result<Endpoint, String>,
}

impl Dialer {
    /// Opens the sockets; where one family is off, the other is enough.
    ///
    /// # Errors
    /// [`ConnectError::Local`] when neither can be had.
    pub fn new(key: SigningKey) -> Result<Self, ConnectError> {
        let open = |local| endpoint(local).map_err(|error| error.to_string());
        let v4 = open((Ipv4Addr::UNSPECIFIED, 0).into());
        let v6 = open((Ipv6Addr::UNSPECIFIED, 0).into());
        match (&v4, &v6) {
            (Err(v4), Err(_)) => Err(ConnectError::Local(v4.clone())),
            _ => Ok(Self { key, v4, v6 }),
        }
    }

    /// The public half of our key.
    pub fn public_key(&self) -> PublicKey {
        PublicKey::from(&self.key)
    }

    /// Waits until the peers of closed connections have been told.
    pub(crate) async fn flush(&self) {
        for endpoint in [&self.v4, &self.v6].into_iter().flatten() {
            endpoint.wait_idle().await;
        }
    }

    /// The handshake: proves both keys, and nothing more (T4).
    pub(super) async fn dial(
        &self,
        address: SocketAddr,
        site: Option<PublicKey>,
    ) -> Result<quinn::Connection, ConnectError> {
        let expected = site.map_or(ExpectedServer::Any, ExpectedServer::Key);
        let config = tls::client_config(&self.key, expected)?;
        let endpoint = if address.is_ipv4() {
            &self.v4
        } else {
            &self.v6
        };
        let endpoint = endpoint
            .as_ref()
            .map_err(|error| ConnectError::Local(error.clone()))?;
        let connecting = endpoint
            .connect_with(config, address, tls::SERVER_NAME)
            .map_err(|error| ConnectError::Local(error.to_string()))?;
        connecting.await.map_err(|error| failed(&error))
    }
}

fn endpoint(local: SocketAddr) -> io::Result<Endpoint> {
    let runtime = quinn::default_runtime().ok_or_else(|| io::Error::other("no runtime"))?;
    Endpoint::new(
        EndpointConfig::default(),
        None,
        socket::bind(local, true)?,
        runtime,
    )
}

fn failed(error: &ConnectionError) -> ConnectError {
    match error {
        ConnectionError::VersionMismatch => {
            ConnectError::UnsupportedVersion("it speaks no QUIC version 1".to_owned())
        }
        other => ConnectError::Unreachable(other.to_string()),
    }
}
