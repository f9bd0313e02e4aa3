//! Gathers what the metrics say: one question to the core, its meter, and the sizes of the files.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use usher_client::clock::{Clock, WallMs};

use super::{api, failure::Failure, server::Shared};
use crate::{
    admin::protocol::{Answer, Ask, LeaseReport, StatusReport},
    core::Reading,
    limits,
};

/// All that one scrape is made of.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) status: StatusReport,
    pub(super) counts: Reading,
    /// Bytes of the live state and of the usage log, where they can be known.
    pub(super) store_bytes: Option<u64>,
    pub(super) usage_bytes: Option<u64>,
    /// The wall clock.
    pub(super) wall: WallMs,
}

/// As of now.
pub(super) async fn gather(shared: &Shared) -> Result<Figures, Failure> {
    let status = *api::status_for(shared, ACTOR).await?;
    let state_dir = shared.state_dir.clone();
    let sizes = tokio::task::spawn_blocking(move || {
        ["store", "usage"].map(|part| bytes_below(&state_dir.join(part)).ok())
    });
    let [store_bytes, usage_bytes] = sizes.await.unwrap_or_default();
    Ok(Figures {
        status,
        counts: shared.admin.core.meter().read(),
        store_bytes,
        usage_bytes,
        wall: Clock::new().now().wall,
    })
}

/// The first [`LEASES_MAX`] leases.
pub(super) async fn leases(shared: &Shared) -> Result<Vec<LeaseReport>, Failure> {
    let mut leases: Vec<LeaseReport> = Vec::new();
    loop {
        let ask = Ask::Leases {
            after: leases.last().map(|lease| lease.id),
            count_max: limits::ADMIN_LEASES_PER_PAGE_MAX,
        };
        let page = match shared.admin.answer(ACTOR, ask).await {
            Answer::Leases(page) => page,
            other => return Err(Failure::of_answer(other)),
        };
        let is_last = page.len() < limits::ADMIN_LEASES_PER_PAGE_MAX;
        leases.extend(page);
        if is_last || leases.len() >= LEASES_MAX {
            return Ok(leases);
        }
    }
}

fn bytes_below(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    let mut left: Vec<PathBuf> = vec![directory.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            // A segment or snapshot may go while we look.
            match entry.metadata() {
                Ok(about) if about.is_dir() => left.push(entry.path()),
                Ok(about) => bytes += about.len(),
                Err(_) => {}
            }
        }
    }
    Ok(bytes)
}

/// Who asks, where nobody in particular does.
const ACTOR: &str = "metrics";

/// Leases that are counted by user.
const LEASES_MAX: usize = 20_000;
