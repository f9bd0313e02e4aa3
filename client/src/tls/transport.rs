//! Decides what a QUIC connection may cost (DESIGN 7): each limit is set, none left at its default.
//! Must not decide who may connect, or how many: TLS and the daemon's own limits do.

use quinn::{IdleTimeout, TransportConfig, VarInt};
use usher_protocol::limits;

/// A client's side: it opens the one stream and keeps the path open through NAT.
#[must_use]
pub fn client_transport() -> TransportConfig {
    let mut transport = shared();
    transport.max_concurrent_bidi_streams(VarInt::from_u32(0));
    transport.keep_alive_interval(Some(limits::KEEP_ALIVE_MS.to_std()));
    transport
}

/// A daemon's side: it lets a client open the one stream and never speaks first. It sends no
/// keep-alive, so that a client that is gone is forgotten.
#[must_use]
pub fn server_transport() -> TransportConfig {
    let mut transport = shared();
    transport.max_concurrent_bidi_streams(VarInt::from_u32(limits::STREAMS_PER_CONNECTION_MAX));
    transport.keep_alive_interval(None);
    transport
}

fn shared() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(limits::STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(limits::CONNECTION_WINDOW_BYTES))
        .send_window(u64::from(limits::CONNECTION_WINDOW_BYTES))
        .crypto_buffer_size(limits::HANDSHAKE_BYTES_MAX)
        .datagram_receive_buffer_size(None)
        .datagram_send_buffer_size(0)
        .max_idle_timeout(Some(idle_timeout()))
        .initial_rtt(limits::INITIAL_RTT_MS.to_std());
    transport
}

fn idle_timeout() -> IdleTimeout {
    let ms = u32::try_from(limits::IDLE_MS_MAX.0).unwrap_or(u32::MAX);
    IdleTimeout::from(VarInt::from_u32(ms))
}
