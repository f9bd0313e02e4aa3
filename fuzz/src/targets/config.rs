//! `config`: the configuration files of daemon and client.

use std::path::Path;

use usher_client::config::Config;
use usherd::config::ConfigFile;

/// Reads the text as both.
pub fn run(data: &[u8]) {
    let Some(text) = super::text(data) else {
        return;
    };
    let path = Path::new("usher.toml");
    if let Err(error) = ConfigFile::parse(path, text) {
        drop(error.to_string());
    }
    if let Err(error) = Config::of_text(path, text) {
        drop(error.to_string());
    }
}
