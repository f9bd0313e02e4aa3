//! A rogue daemon and clones are found in time (T4, L12).
