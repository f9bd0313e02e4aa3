//! The named bounds of everything that crosses the network or stands in a signed document (A3).
//!
//! The daemon's own bounds (queue, batch, connections) are in its `limits.rs`.

use crate::time::DurationMs;

/// Longest frame, in bytes, its version and kind included and its length prefix not (A3).
pub const FRAME_BYTES_MAX: usize = 16 * 1024;

/// Longest encoded endorsement with its certificate, in bytes, so that a `Welcome` fits one frame (T4).
pub const ENDORSEMENT_BYTES_MAX: usize = 14 * 1024;

/// Longest pool license file, in bytes, signature table included.
pub const LICENSE_BYTES_MAX: usize = 256 * 1024;

/// Longest site request file, in bytes.
pub const SITE_REQUEST_BYTES_MAX: usize = 16 * 1024;

/// Features in one pool license.
pub const FEATURES_PER_LICENSE_MAX: usize = 128;

/// Entries in one revocation list.
pub const REVOCATIONS_MAX: usize = 256;

/// Host bindings in one pool license.
pub const HOSTS_PER_LICENSE_MAX: usize = 32;

/// Longest host name in a host binding, in bytes (RFC 1035).
pub const HOST_BYTES_MAX: usize = 253;

/// Licenses that one pool license may replace.
pub const REPLACES_PER_LICENSE_MAX: usize = 64;

/// Longest vendor or feature name, in bytes.
pub const NAME_BYTES_MAX: usize = 48;

/// Longest license id or customer id, in bytes.
pub const ID_BYTES_MAX: usize = 64;

/// Longest user, host or display name, in bytes; longer ones are refused, never cut.
pub const HOLDER_BYTES_MAX: usize = 128;

/// Longest free text (support message, refusal detail, customer), in bytes.
pub const TEXT_BYTES_MAX: usize = 512;

/// Holders listed in one refusal; the rest are counted.
pub const HOLDERS_LISTED_MAX: usize = 8;

/// Seats in one checkout.
pub const SEATS_PER_CHECKOUT_MAX: u32 = 1_000_000;

/// Features in one checkout of several (all or nothing).
pub const FEATURES_PER_CHECKOUT_MAX: usize = 8;

/// How far client's and daemon's wall clocks may be apart for a borrow (L10).
pub const BORROW_CLOCKS_APART_MS_MAX: DurationMs = DurationMs::minutes(5);

/// How long after its end a borrowed lease still counts, live (L10).
pub const BORROW_TOLERANCE_MS: DurationMs = DurationMs::hours(1);

/// How long after its end a borrowed lease still counts, test (T8).
pub const BORROW_TOLERANCE_MS_TEST: DurationMs = DurationMs::seconds(2);

/// How long an offer stands (L9).
pub const OFFER_MS: DurationMs = DurationMs::seconds(30);

/// Lease length when neither license nor client says otherwise (L2).
pub const LEASE_MS_DEFAULT: DurationMs = DurationMs::minutes(10);

/// Shortest lease length a live license may set (L2).
pub const LEASE_MS_MIN: DurationMs = DurationMs::minutes(1);

/// Longest lease length a license may set (L2).
pub const LEASE_MS_MAX: DurationMs = DurationMs::hours(24);

/// Shortest lease length a test license may set (T8).
pub const LEASE_MS_MIN_TEST: DurationMs = DurationMs::seconds(2);

/// Longest borrow a license may allow (L10).
pub const BORROW_MS_MAX: DurationMs = DurationMs::days(366);

/// Guard time at least, live (L2).
pub const GUARD_MS_MIN: DurationMs = DurationMs::seconds(5);

/// Guard time at least, test (T8).
pub const GUARD_MS_MIN_TEST: DurationMs = DurationMs::seconds(1);

/// The port of DESIGN 7, one for all vendors.
pub const PORT_DEFAULT: u16 = 27443;

/// Streams a client may have open on one connection: the one of the protocol (DESIGN 7).
pub const STREAMS_PER_CONNECTION_MAX: u32 = 1;

/// Unread bytes of one stream that its receiver buffers: four frames of the longest.
pub const STREAM_WINDOW_BYTES: u32 = 64 * 1024;

/// Unread bytes of one connection that its receiver buffers, and unacknowledged ones its sender.
pub const CONNECTION_WINDOW_BYTES: u32 = 128 * 1024;

/// Handshake bytes buffered out of order; ours need less than 2 KiB.
pub const HANDSHAKE_BYTES_MAX: usize = 8 * 1024;

/// A handshake that takes longer is given up by either side, to the end of `Hello` and `Welcome`.
pub const HANDSHAKE_MS_MAX: DurationMs = DurationMs::seconds(5);

/// How often an idle client shows itself: some NATs forget a path after 30 s.
pub const KEEP_ALIVE_MS: DurationMs = DurationMs::seconds(20);

/// What a round trip is taken for before one was measured: a slow local network's. A lost first packet
/// is sent again after three of these, so that a server that restarts is not waited for by the second.
pub const INITIAL_RTT_MS: DurationMs = DurationMs(100);

/// A connection silent for longer is gone: three keep-alives may be lost.
pub const IDLE_MS_MAX: DurationMs = DurationMs::seconds(65);

/// Handshakes that wait to be accepted; more are refused.
pub const INCOMING_MAX: usize = 1024;

/// Bytes buffered for one handshake that waits to be accepted.
pub const INCOMING_BYTES_MAX: u64 = 64 * 1024;

/// Bytes buffered for all handshakes that wait to be accepted.
pub const INCOMING_BYTES_TOTAL_MAX: u64 = 8 * 1024 * 1024;
