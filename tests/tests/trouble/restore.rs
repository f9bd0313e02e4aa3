//! Backup, restore and repair, drilled (S6, L12).
