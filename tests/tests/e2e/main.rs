//! End to end, through the real programs: one file per question.
#![expect(
    clippy::unwrap_used,
    reason = "a test whose ground gives way must fail"
)]

mod admin;
mod admin_ground;
mod admin_policy;
mod admin_store;
mod alerts;
mod alerts_ground;
mod alerts_trouble;
mod borrow;
mod browser;
mod change;
mod dashboard;
mod dashboard_browser;
mod demo;
mod discovery;
mod dns_sd;
mod doctor;
mod existing_tools;
mod hostile_clones;
mod hostile_disk;
mod hostile_files;
mod hostile_papers;
mod hostile_rogue;
mod hostile_tls;
mod hostile_wire;
mod http;
mod http_admin;
mod http_ground;
mod http_lease;
mod http_prometheus;
mod idle;
mod lan;
mod lease;
mod life;
mod logs;
mod policy_file;
mod queue;
mod report;
mod retire;
mod retire_disks;
mod seats_crowd;
mod seats_lan;
mod seats_nonce;
mod seats_restart;
mod seats_site;
mod seats_stopped;
mod sharing;
mod usher_lease;
mod usher_run;
mod usher_site;
mod usher_trust;
