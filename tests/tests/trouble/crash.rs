//! A daemon that is killed under load, and while it starts (L4, L13): no acknowledged lease is lost.
