//! Disks that fill up, fail and lie (L13, S3): never a silent change, always a next step.
