//! The daemon's own named bounds (A3); those of the wire and of documents are in `usher_protocol::limits`.
//!
//! Past a bound a client gets a refusal that names when to ask again, never a stall or an abort.

use std::time::Duration;

use usher_protocol::{limits::LICENSE_BYTES_MAX, time::DurationMs};

/// Inputs that wait for the core; a further one is refused `busy` at once.
pub const QUEUE_LENGTH_MAX: usize = 8192;

/// Inputs whose records go into one durable batch (A2).
pub const BATCH_INPUTS_MAX: usize = 512;

/// A batch of less than half as many inputs as the one before, where those were so many, waits once for more.
pub const GATHER_INPUTS_MIN: usize = 8;

/// For so long.
pub const GATHER: Duration = Duration::from_micros(50);

/// From one tick to the next, at least: what is due by time alone leaves most of the core to those who ask.
pub const TICK_REST_MS: DurationMs = DurationMs(2);

/// Batches in turn that put off a tick which is due, as somebody waits for their answers.
pub const TICKS_PUT_OFF_MAX: u32 = 8;

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

/// Connections to the HTTPS server at once; further ones wait to be accepted.
pub const HTTP_CONNECTIONS_MAX: usize = 256;

/// Of those, connections from one address; a further one is closed at once.
pub const HTTP_CONNECTIONS_PER_ADDRESS_MAX: usize = 128;

/// Requests over HTTPS that are dealt with at once: so many places of the core's queue at most.
pub const HTTP_REQUESTS_MAX: usize = 16;

/// Longest body of a request, in bytes.
pub const HTTP_BODY_BYTES_MAX: usize = 16 * 1024;

/// Longest body of the request that installs a license, in bytes: the longest license, its line ends escaped.
pub const HTTP_LICENSE_BYTES_MAX: usize = 2 * LICENSE_BYTES_MAX;

/// Longest head of a request, in bytes.
pub const HTTP_HEAD_BYTES_MAX: usize = 16 * 1024;

/// A TLS handshake that takes longer is given up.
pub const HTTP_HANDSHAKE_MS_MAX: DurationMs = DurationMs::seconds(5);

/// A connection that neither asks nor reads its answer for so long is closed.
pub const HTTP_IDLE_MS_MAX: DurationMs = DurationMs::seconds(30);

/// A request that is not answered after this is given up.
pub const HTTP_ANSWER_MS_MAX: DurationMs = DurationMs::seconds(30);

/// Who is signed in to the dashboard at once; past that who was idle longest is signed out.
pub const HTTP_SESSIONS_MAX: usize = 256;

/// Who has not used the dashboard for so long is signed out.
pub const HTTP_SESSION_IDLE_MS_MAX: DurationMs = DurationMs::hours(8);

/// Leases on one page of the dashboard.
pub const HTTP_LEASES_PER_PAGE: usize = 100;

/// Leases that one search of the dashboard looks through.
pub const HTTP_LEASES_SEARCHED_MAX: usize = 100_000;

/// Leases that it puts into another order than theirs: they are all in memory for a moment.
pub const HTTP_LEASES_SORTED_MAX: usize = 20_000;

/// Pages of the dashboard that are kept fresh at once; further ones ask again every [`HTTP_CROWDED_MS`].
pub const HTTP_VIEWERS_MAX: usize = 64;

/// See [`HTTP_VIEWERS_MAX`].
pub const HTTP_CROWDED_MS: DurationMs = DurationMs::seconds(15);

/// Between two looks at the core for all of them together.
pub const HTTP_NEWS_MS: DurationMs = DurationMs::seconds(1);

/// A page to which nothing is news for so long is told at least that: well below [`HTTP_IDLE_MS_MAX`], by which time
/// one that reads nothing is let go.
pub const HTTP_NEWS_SILENCE_MS_MAX: DurationMs = DurationMs::seconds(10);

/// How long a page waits for a first reading of the usage log before it says that it is being read.
pub const HTTP_HISTORY_WAIT_MS_MAX: DurationMs = DurationMs::seconds(2);

/// What was read of it is told for so long at least before it is read again.
pub const HTTP_HISTORY_KEPT_MS_MIN: DurationMs = DurationMs::seconds(30);

/// How long a new token waits for the server to listen before it is told as it is.
pub const HTTP_START_MS_MAX: DurationMs = DurationMs::seconds(5);

/// Bad tokens that one address may show in [`HTTP_BAD_TOKENS_MS`]; further ones get no answer but that.
pub const HTTP_BAD_TOKENS_MAX: u32 = 10;

/// See [`HTTP_BAD_TOKENS_MAX`].
pub const HTTP_BAD_TOKENS_MS: DurationMs = DurationMs::minutes(1);

/// Addresses whose bad tokens are counted; past that the count starts anew.
pub const HTTP_BAD_ADDRESSES_MAX: usize = 4096;

/// Those who are told of what goes wrong.
pub const ALERT_ENDPOINTS_MAX: usize = 8;

/// Alerts that wait for one of them; past that the oldest is dropped and counted.
pub const ALERT_WAITING_MAX: usize = 256;

/// An alert that could not be delivered for so long is dropped and counted.
pub const ALERT_AGE_MS_MAX: DurationMs = DurationMs::days(7);

/// How often alerts look at the daemon.
pub const ALERT_LOOK_MS: DurationMs = DurationMs::seconds(2);

/// How long one attempt to deliver may take.
pub const ALERT_SEND_MS_MAX: DurationMs = DurationMs::seconds(10);

/// After the first vain attempt; doubled each time.
pub const ALERT_RETRY_MS_FIRST: DurationMs = DurationMs::seconds(1);

/// Between vain attempts at most.
pub const ALERT_RETRY_MS_LAST: DurationMs = DurationMs::minutes(5);

/// How long a daemon that ends for want of a store waits for that to be told.
pub const ALERT_LAST_WORDS_MS_MAX: DurationMs = DurationMs::seconds(2);

/// Events of the usage log that wait to be told in the log of the daemon; further ones of leases are only counted there.
pub const FEED_WAITING_MAX: usize = 1024;

/// As above, for events that are told before those of leases.
pub const FEED_RARE_MAX: usize = 2 * FEED_WAITING_MAX;

/// Lines about leases and the like that are written at once, before [`FACTS_PAUSE_MS`] is waited. systemd-journald takes
/// 333 lines a second from a service on the average, unless it is told otherwise.
pub const FACTS_AT_ONCE_MAX: usize = 64;

/// See [`FACTS_AT_ONCE_MAX`].
pub const FACTS_PAUSE_MS: DurationMs = DurationMs(250);

/// Leases whose grant was told and that are remembered, so that the line of their end can say what they were.
pub const FACTS_LEASES_MAX: usize = 16_384;

/// Longest value of one field of a line, in bytes; the rest is cut off.
pub const LOG_VALUE_BYTES_MAX: usize = 4096;
