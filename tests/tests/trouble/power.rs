//! Power cuts: what was acknowledged is there when the disk comes back as it was at any moment (S1).
