//! Every bound of discovery (A3). What a stranger on the network can cost us is decided here.

use std::time::Duration;

/// Longest mDNS message taken, in bytes (RFC 6762 §17); longer ones are dropped unread.
pub(super) const PACKET_BYTES_MAX: usize = 9000;
/// Most records in one message; more is a sign of malice.
pub(super) const PACKET_RECORDS_MAX: usize = 256;
/// Most servers tried out of mDNS in one hunt.
pub(super) const CANDIDATES_MAX: usize = 32;
/// Most addresses kept of one server.
pub(super) const CANDIDATE_ADDRS_MAX: usize = 8;
/// Most addresses that one host may name: it cannot fill the list alone.
pub(super) const ADDRS_PER_RESPONDER_MAX: usize = 8;
/// Most addresses told by mdns-sd, which does not say who named them.
pub(super) const ADDRS_UNATTRIBUTED_MAX: usize = 24;
/// Handshakes at once.
pub(super) const ATTEMPTS_MAX: usize = 8;
/// Handshakes at once with what one host named: a black hole cannot hold all of them.
pub(super) const ATTEMPTS_PER_RESPONDER_MAX: usize = 3;
/// Failures kept for the final message; the others are counted.
pub(super) const FAILURES_MAX: usize = 32;
/// Sockets one round of queries may use (one per interface and address family).
pub(super) const SOCKETS_MAX: usize = 64;

/// A server's next address is tried this much after the one before (as in RFC 8305), so that a
/// server with three addresses does not pay for three handshakes each time.
pub(super) const STAGGER: Duration = Duration::from_millis(50);
/// How long the last good server has the field to itself before all the network is asked.
pub(super) const LAST_GOOD_HEAD_START: Duration = Duration::from_millis(30);
/// How long the DNS has the field to itself, once it is asked: a live one answers within it.
pub(super) const DNS_HEAD_START: Duration = Duration::from_millis(100);
/// How long servers of one priority are ahead of the next (as long as RFC 8305 gives a connection).
pub(super) const PRIORITY_HEAD_START: Duration = Duration::from_millis(250);
/// How long one question to the DNS may take before it counts as lost.
pub(super) const DNS_ASKED_MAX: Duration = Duration::from_secs(1);
/// How often a question is asked whose answer was lost.
pub(super) const DNS_TIMES_MAX: usize = 3;
/// Most servers that a domain may name.
pub(super) const DNS_SERVERS_MAX: usize = 8;
/// How often interfaces are listed while looking.
pub(super) const INTERFACES_EVERY: Duration = Duration::from_millis(250);
