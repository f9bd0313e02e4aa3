//! `usherd demo`: a throw-away vendor signs a test license for a throw-away site, the real daemon
//! serves it on loopback, and a real client borrows a seat and gives it back.
//!
//! It decides only what is shown. Nothing of it is special: `site` uses the same documents as any
//! vendor, [`crate::serve`] is the daemon, `show` is an administrator and a client of it.

mod show;
mod site;

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
};

use data_encoding::HEXLOWER;
use rustix::process::{Signal, getpid, kill_process};
use usher_client::paths::files;

use crate::{
    config::{Config, ConfigError, Overrides, Places},
    serve::{self, ServeError},
};

/// What the demonstration is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wishes {
    /// End after the show.
    pub once: bool,
    /// Seats in the pool.
    pub seats: u32,
}

/// Why the demonstration failed. Each message names the next step.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// No directory for it.
    #[error("cannot make {}: {source}; set TMPDIR to a directory that you may write to", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The throw-away vendor could not sign.
    #[error("the throw-away license could not be made: {0}; please report this")]
    Site(String),
    /// The daemon did not start or stay.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// Its configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// One step of the show failed.
    #[error("{step} failed: {why}")]
    Step {
        /// Which step.
        step: &'static str,
        /// Why.
        why: String,
    },
}

/// Runs the show beside the daemon; then stays until Ctrl-C, or ends at once where that was wished.
///
/// # Errors
/// [`DemoError`], also when a step of the show failed.
pub fn run(wishes: Wishes) -> Result<(), DemoError> {
    let place = Place::make()?;
    let config = configuration(&place)?;
    let stage = site::prepare(&place, wishes.seats)?;
    let show = thread::spawn({
        let (place, socket) = (place.path.clone(), config.admin_socket.clone());
        move || {
            let outcome = show::show(&place, &socket, &stage, wishes);
            if wishes.once || outcome.is_err() {
                // The daemon ends as it always does: told by a signal.
                let _ = kill_process(getpid(), Signal::TERM);
            }
            outcome
        }
    });
    let served = serve::run(config, Overrides::default());
    if show.is_finished() || served.is_ok() {
        let step = "the show";
        let why = || "it panicked".to_owned();
        show.join()
            .map_err(|_| DemoError::Step { step, why: why() })??;
    }
    Ok(served?)
}

/// A directory of the demonstration's own, gone when it ends.
struct Place {
    path: PathBuf,
}

impl Place {
    fn make() -> Result<Self, DemoError> {
        let mut random = [0; 4];
        let name = getrandom::fill(&mut random).map(|()| HEXLOWER.encode(&random));
        let name = name.unwrap_or_else(|_| std::process::id().to_string());
        let path = std::env::temp_dir().join(format!("usher-demo-{name}"));
        let place = Self { path };
        for part in ["", "state", "trust", "client"] {
            let path = place.path.join(part);
            files::private_directory(&path)
                .map_err(|source| DemoError::Directory { path, source })?;
        }
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.path));
    }
}

/// A file of its own, so that the machine's configuration is left alone and not asked.
fn configuration(place: &Place) -> Result<Config, DemoError> {
    let path = place.path.join("usherd.toml");
    write(
        &path,
        "listen = [\"127.0.0.1:0\"]\nname = \"demo\"\nserve-test = true\nadvertise = false\n",
    )?;
    let places = Places {
        config: Some(path),
        state_dir: Some(place.path.join("state")),
        admin_socket: Some(place.path.join("admin.sock")),
        policy: None,
    };
    Ok(Config::load(&Overrides::of_places(&places))?)
}

fn write(path: &Path, text: &str) -> Result<(), DemoError> {
    fs::write(path, text).map_err(|source| DemoError::Directory {
        path: path.to_owned(),
        source,
    })
}
