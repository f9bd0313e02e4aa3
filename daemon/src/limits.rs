//! The daemon's own named bounds (A3); those of the wire and of documents are in `usher_protocol::limits`.
//!
//! Past a bound a client gets a refusal that names when to ask again, never a stall or an abort.

use usher_protocol::time::DurationMs;

/// Inputs that wait for the core; a further one is refused `busy` at once.
pub const QUEUE_LENGTH_MAX: usize = 8192;

/// Inputs whose records go into one durable batch (A2).
pub const BATCH_INPUTS_MAX: usize = 512;

/// How long a client refused `busy` is told to wait.
pub const BUSY_RETRY_MS: DurationMs = DurationMs(500);

/// Connections in all.
pub const CONNECTIONS_MAX: usize = 65_536;

/// Connections that hold no seat and wait for none; past that the oldest of them is asked to come back later. At about
/// 40 KiB each they leave the daemon below 256 MiB whoever floods it; those with seats are as many as seats.
pub const STRANGERS_MAX: usize = 3072;
/// When a connection that had to make room is told to come back.
pub const CROWDED_RETRY_MS: DurationMs = DurationMs::seconds(10);
/// Connections from one address, unless the configuration says otherwise; a NAT may hide a whole building.
pub const CONNECTIONS_PER_ADDRESS_MAX_DEFAULT: usize = 1024;

/// Handshakes under way above which addresses must prove themselves first (`retry`).
pub const HALF_OPEN_UNPROVED_MAX: usize = 128;

/// Handshakes under way above which a further one takes the place of the oldest.
pub const HALF_OPEN_MAX: usize = 1024;

/// Handshakes under way from one address.
pub const HALF_OPEN_PER_ADDRESS_MAX: usize = 256;

/// Requests of one connection that wait for their answer; further ones wait unread in its window.
pub const REQUESTS_OUTSTANDING_MAX: usize = 64;

/// Requests of one address that wait for the core together, over all its connections; further ones wait in their
/// connections. However greedy one host is, another's request finds no more of its requests before it than these.
pub const REQUESTS_PER_ADDRESS_MAX: usize = 128;
/// How long one write to a client may take before the client counts as gone.
pub const WRITE_MS_MAX: DurationMs = DurationMs::seconds(20);

/// News that may wait for a connection; a slower one misses some, which costs it nothing but a hint.
pub const PUSHES_WAITING_MAX: usize = 64;

/// Leases one client key may hold, unless the configuration says otherwise.
pub const LEASES_PER_CLIENT_MAX_DEFAULT: usize = 256;

/// Leases in all, unless the configuration says otherwise.
pub const LEASES_MAX_DEFAULT: usize = 2_000_000;

/// Addresses to listen on.
pub const LISTEN_ADDRESSES_MAX: usize = 16;

/// Longest server name for people, in bytes.
pub const SERVER_NAME_BYTES_MAX: usize = 64;

/// Longest configuration file, in bytes.
pub const CONFIG_BYTES_MAX: u64 = 64 * 1024;

/// Longest policy file, in bytes.
pub const POLICY_BYTES_MAX: u64 = 1024 * 1024;

/// Faults of a policy file told at once; the rest are counted.
pub const POLICY_FAULTS_SHOWN_MAX: usize = 20;

/// Longest question over the admin socket, in bytes: a license with every character escaped.
pub const ADMIN_QUESTION_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Longest answer over the admin socket, in bytes: a page of leases.
pub const ADMIN_ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Administrators connected at once.
pub const ADMIN_CONNECTIONS_MAX: usize = 64;

/// An admin connection silent for longer is closed.
pub const ADMIN_IDLE_MS_MAX: DurationMs = DurationMs::seconds(60);

/// Leases on one page of the admin answer.
pub const ADMIN_LEASES_PER_PAGE_MAX: usize = 1000;

/// How long a stop may take, from SIGTERM to the end of the process.
pub const DRAIN_MS_MAX: DurationMs = DurationMs::seconds(5);

/// How long a refused client gets to acknowledge the reason before it is let go: one lost packet is sent again
/// after a third of a second, the next after a whole one.
pub const REFUSAL_MS_MAX: DurationMs = DurationMs::seconds(3);
/// How long connections get to send what is answered before they are closed at a stop.
pub const LINGER_MS: DurationMs = DurationMs(300);

/// When drained clients are told to come back: a restart takes about a second.
pub const DRAIN_RECONNECT_MS: DurationMs = DurationMs::seconds(2);

/// Between two questions to the same possible clone (L12): less than the quarter of a minute between two
/// sightings of it, so that one lost handshake costs no more than that.
pub const CLONE_CHECK_MS: DurationMs = DurationMs::seconds(12);
/// Adverts of possible clones that wait to be asked.
pub const CLONE_CHECKS_WAITING_MAX: usize = 32;
