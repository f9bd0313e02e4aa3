//! `usherd request`: the signed request to mail to a vendor, with or without a running daemon.
//!
//! The daemon is asked first: only it knows a key that came as a credential. Must not start one.

use serde::Serialize;
use usher_client::clock::utc_rfc3339;
use usher_protocol::documents::site_request::VerifiedSiteRequest;

use super::{Failure, print};
use crate::{
    admin::{
        client::AdminClient,
        protocol::{Answer, Ask},
    },
    config::{Config, Overrides, Places},
    site::SiteKey,
};

/// How to print it.
#[derive(Debug, clap::Args)]
pub(super) struct RequestArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct RequestReport {
    site: String,
    host: String,
    usherd: String,
    requested: String,
    /// The whole file, as the vendor needs it.
    file: String,
}

/// Prints the request.
pub(super) fn run(args: &RequestArgs, places: &Places) -> Result<(), Failure> {
    let config = Config::load(&Overrides::of_places(places))?;
    let file = match AdminClient::connect(&config.admin_socket) {
        Ok(mut daemon) => match daemon.ask(Ask::Request)? {
            Answer::Request(file) => file,
            other => return Err(Failure::of_answer(other)),
        },
        Err(error) if error.is_not_running() => of_state_dir(&config)?,
        Err(error) => return Err(error.into()),
    };
    if !args.json {
        return print::text(&file);
    }
    let read = VerifiedSiteRequest::verify(file.as_bytes())
        .map_err(|error| Failure::new(error.to_string()))?;
    print::json(&RequestReport {
        site: read.site.to_string(),
        host: read.host.clone(),
        usherd: read.usherd.clone(),
        requested: utc_rfc3339(read.requested),
        file,
    })
}

/// Makes the key if there is none yet, for the daemon that will start here.
fn of_state_dir(config: &Config) -> Result<String, Failure> {
    let site = SiteKey::load_or_create(&config.state_dir)
        .map_err(|error| Failure::new(error.to_string()))?;
    site.request()
        .map_err(|error| Failure::new(error.to_string()))
}
