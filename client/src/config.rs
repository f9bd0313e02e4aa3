//! Decides what `usher.toml` may say, strictly: an unknown key is an error with its place. The
//! system's file is read first, and what the user's file says wins.

use crate::paths::Paths;
use serde::Deserialize;
use std::{
    io,
    path::{Path, PathBuf},
};

/// What the configuration files say together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Servers to ask, the preferred one first; empty asks the network.
    pub server: Vec<String>,
    /// The domain under which the DNS is asked for servers; nobody asks it without.
    pub domain: Option<String>,
    /// Whether the local network may be asked; on unless said otherwise.
    pub mdns: Option<bool>,
}

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {path}: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the file system answered.
        source: io::Error,
    },
    /// It says something that is not understood; with line and caret.
    #[error("{path}: {message}", path = .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        message: String,
    },
}

impl Config {
    /// Reads the files that exist.
    ///
    /// # Errors
    /// [`ConfigError`]; a file that is not there is no error.
    pub fn load(paths: &Paths) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        for path in paths.configuration_files() {
            config.overlay(read(&path)?);
        }
        Ok(config)
    }

    /// What one file says, for `fuzz/`.
    ///
    /// # Errors
    /// [`ConfigError::Malformed`].
    #[cfg(fuzzing)]
    pub fn of_text(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        config.overlay(parse(path, text)?);
        Ok(config)
    }

    fn overlay(&mut self, file: File) {
        if let Some(server) = file.server {
            self.server = match server {
                Servers::One(one) => vec![one],
                Servers::Many(many) => many,
            };
        }
        self.domain = file.domain.or(self.domain.take());
        self.mdns = file.mdns.or(self.mdns);
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    server: Option<Servers>,
    domain: Option<String>,
    mdns: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a server address, or a list of them")]
enum Servers {
    One(String),
    Many(Vec<String>),
}

fn read(path: &Path) -> Result<File, ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(path, &text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(File::default()),
        Err(source) => Err(ConfigError::Io {
            path: path.to_owned(),
            source,
        }),
    }
}

fn parse(path: &Path, text: &str) -> Result<File, ConfigError> {
    toml::from_str(text).map_err(|error| ConfigError::Malformed {
        path: path.to_owned(),
        message: error.to_string().trim_end().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(user: &str) -> Result<Config, ConfigError> {
        let home = tempfile::tempdir().unwrap();
        let variable = |name: &str| (name == "HOME").then(|| home.path().into());
        let machine = "0123456789abcdef0123456789abcdef".parse().unwrap();
        let paths = Paths::from_variables(variable, machine).unwrap();
        let file = &paths.configuration_files()[1];
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, user).unwrap();
        Config::load(&paths)
    }

    #[test]
    fn one_server_or_a_list() {
        assert_eq!(load("server = \"lic01\"").unwrap().server, ["lic01"]);
        let config = load("server = [\"a\", \"b:1\"]\nmdns = false").unwrap();
        assert_eq!((config.server.len(), config.mdns), (2, Some(false)));
        assert_eq!(load("").unwrap(), Config::default());
    }

    #[test]
    fn a_typo_is_shown_with_its_place_and_the_names_expected() {
        let error = load("serwer = \"lic01\"").unwrap_err().to_string();
        let told = error.split_once("usher.toml: ").unwrap().1;
        insta::assert_snapshot!(told, @r#"
        TOML parse error at line 1, column 1
          |
        1 | serwer = "lic01"
          | ^^^^^^
        unknown field `serwer`, expected one of `server`, `domain`, `mdns`
        "#);
        assert!(load("mdns = 1").is_err());
        assert!(
            load("server = 1")
                .unwrap_err()
                .to_string()
                .contains("expected a server address")
        );
    }
}
