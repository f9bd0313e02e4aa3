//! Finding a server while the network is in trouble: a seat or a clear reason, never a hang.
