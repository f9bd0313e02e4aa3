//! The site's policy: what the administrator's rules say of who gets seats.

/// A policy as checked; the default rules nothing.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Policy {}
