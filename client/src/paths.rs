//! Decides where the client's files are (T3, T6, L12): keys and marks under the XDG state
//! directory, trust and configuration under `/etc/usher` and the XDG configuration directory.
//! Must not decide what is in them.

pub mod files;
mod machine;

pub use machine::MachineId;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use usher_protocol::ids::{Fingerprint, LeaseId, PublicKey};
use usher_protocol::names::LicenseId;

/// Names one directory of trusted roots that replaces both usual ones (tests, demonstrations).
pub const TRUST_DIRECTORY_VARIABLE: &str = "USHER_TRUST_DIR";

/// Names a client key file that is used instead of the machine's own and never made: one mounted into
/// containers, which then count as one host.
pub const CLIENT_KEY_VARIABLE: &str = "USHER_CLIENT_KEY";

/// Where one user of one machine keeps what. Nothing is created or read by asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    machine: MachineId,
    configuration: PathBuf,
    state: PathBuf,
    trust_only: Option<PathBuf>,
    key_given: Option<PathBuf>,
}

/// Why there is no place for the client's files.
#[derive(Debug, thiserror::Error)]
pub enum PathError {
    /// Neither the XDG variable nor `HOME` names a directory.
    #[error(
        "no home directory: HOME and {0} are unset or not absolute; set {0} to a private directory"
    )]
    NoHome(&'static str),
}

impl Paths {
    /// The paths of this user on this machine, from the environment as the XDG base directory
    /// specification reads it: a relative directory counts as none.
    ///
    /// # Errors
    /// [`PathError::NoHome`].
    pub fn from_environment() -> Result<Paths, PathError> {
        Paths::from_variables(|name| std::env::var_os(name), MachineId::of_this_machine())
    }

    /// As [`Paths::from_environment`], with the variables and the machine given.
    ///
    /// # Errors
    /// [`PathError::NoHome`].
    pub fn from_variables(
        variable: impl Fn(&str) -> Option<OsString>,
        machine: MachineId,
    ) -> Result<Paths, PathError> {
        let directory = |name: &str| {
            variable(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let of_user = |name: &'static str, in_home: &str| {
            directory(name)
                .or_else(|| Some(directory("HOME")?.join(in_home)))
                .map(|base| base.join("usher"))
                .ok_or(PathError::NoHome(name))
        };
        Ok(Paths {
            machine,
            configuration: of_user("XDG_CONFIG_HOME", ".config")?,
            state: of_user("XDG_STATE_HOME", ".local/state")?,
            trust_only: variable(TRUST_DIRECTORY_VARIABLE)
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            key_given: variable(CLIENT_KEY_VARIABLE)
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
        })
    }

    /// The machine these paths are for.
    #[must_use]
    pub fn machine(&self) -> &MachineId {
        &self.machine
    }

    /// The private key of this user on this machine (T6), mode 0600.
    #[must_use]
    pub fn client_key(&self) -> PathBuf {
        let own = || self.state.join(format!("{}.key", self.machine));
        self.key_given.clone().unwrap_or_else(own)
    }

    /// The key file that [`CLIENT_KEY_VARIABLE`] names, if it names one.
    #[must_use]
    pub fn client_key_given(&self) -> Option<&Path> {
        self.key_given.as_deref()
    }

    /// Where trusted roots are read from, in this order (T3).
    #[must_use]
    pub fn trust_directories(&self) -> Vec<PathBuf> {
        match &self.trust_only {
            Some(only) => vec![only.clone()],
            None => vec![
                Path::new(SYSTEM).join(TRUST),
                self.configuration.join(TRUST),
            ],
        }
    }

    /// Where `usher trust add` writes.
    #[must_use]
    pub fn trust_directory_own(&self) -> PathBuf {
        self.trust_only
            .clone()
            .unwrap_or_else(|| self.configuration.join(TRUST))
    }

    /// The configuration files, the system's first; what the user's says wins.
    #[must_use]
    pub fn configuration_files(&self) -> [PathBuf; 2] {
        [Path::new(SYSTEM), &self.configuration].map(|directory| directory.join("usher.toml"))
    }

    /// What is remembered of this machine's dealings: marks, servers, leases. Mode 0700. A home
    /// shared by several machines has one of these for each.
    #[must_use]
    pub fn machine_state(&self) -> PathBuf {
        self.state.join(self.machine.as_str())
    }

    /// The highest epoch seen for a vendor's license (L12).
    #[must_use]
    pub fn epoch_mark(&self, root: &Fingerprint, license: &LicenseId) -> PathBuf {
        // The suffix keeps a license id of dots alone from naming a directory.
        self.machine_state()
            .join("marks")
            .join(format!("{root}-{license}.mark"))
    }

    /// The address that last gave an authenticated `Welcome` for this vendor root.
    #[must_use]
    pub fn last_good_server(&self, root: &Fingerprint) -> PathBuf {
        self.machine_state()
            .join("servers")
            .join(format!("{root}.server"))
    }

    /// The latest time known of the clocks of this machine and of a site it borrowed from (L10).
    #[must_use]
    pub fn wall_mark(&self, site: &PublicKey) -> PathBuf {
        self.machine_state()
            .join("marks")
            .join(format!("{}.wall", site.fingerprint()))
    }

    /// Borrows that were asked for and not answered yet, with their secret nonces (L5).
    #[must_use]
    pub fn borrow_directory(&self) -> PathBuf {
        self.machine_state().join("borrows")
    }

    /// Leases checked out or borrowed by command, for `renew`, `release` and `status`.
    #[must_use]
    pub fn lease_directory(&self) -> PathBuf {
        self.machine_state().join("leases")
    }

    /// One lease of [`Paths::lease_directory`], mode 0600: beside it stands its secret nonce.
    #[must_use]
    pub fn lease_file(&self, root: &Fingerprint, lease: &LeaseId) -> PathBuf {
        // Two daemons may count the same lease id; two vendors need not share one either.
        self.lease_directory()
            .join(format!("{}-{lease}.lease", root.short()))
    }

    /// One lease that `usher run` holds, for its command to verify: no secret in it.
    #[must_use]
    pub fn shown_lease_file(&self, root: &Fingerprint, lease: &LeaseId) -> PathBuf {
        self.machine_state()
            .join("running")
            .join(format!("{}-{lease}.lease", root.short()))
    }
}

const SYSTEM: &str = "/etc/usher";
const TRUST: &str = "trust.d";

#[cfg(test)]
mod tests {
    use super::*;
    use usher_protocol::ids::{Commit, Epoch};

    fn paths(variables: &[(&str, &str)]) -> Result<Paths, PathError> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        Paths::from_variables(
            variable,
            "0123456789abcdef0123456789abcdef".parse().unwrap(),
        )
    }

    #[test]
    fn homes_are_used_where_xdg_says_nothing() {
        let paths = paths(&[("HOME", "/home/ann")]).unwrap();
        assert_eq!(
            paths.client_key(),
            Path::new("/home/ann/.local/state/usher/0123456789abcdef0123456789abcdef.key")
        );
        assert_eq!(
            paths.trust_directories(),
            [
                Path::new("/etc/usher/trust.d"),
                Path::new("/home/ann/.config/usher/trust.d")
            ]
        );
        assert_eq!(paths.trust_directory_own(), paths.trust_directories()[1]);
        assert_eq!(
            paths.configuration_files(),
            [
                "/etc/usher/usher.toml",
                "/home/ann/.config/usher/usher.toml"
            ]
            .map(PathBuf::from)
        );
    }

    #[test]
    fn xdg_wins_unless_it_is_relative() {
        let both = [
            ("HOME", "/home/ann"),
            ("XDG_STATE_HOME", "/fast"),
            ("XDG_CONFIG_HOME", "x"),
        ];
        let paths = paths(&both).unwrap();
        assert!(paths.client_key().starts_with("/fast/usher"));
        assert!(paths.configuration_files()[1].starts_with("/home/ann/.config/usher"));
    }

    #[test]
    fn without_a_home_the_message_names_the_variable() {
        let error = paths(&[("XDG_CONFIG_HOME", "/c")]).unwrap_err().to_string();
        assert!(error.contains("set XDG_STATE_HOME"), "{error}");
    }

    #[test]
    fn one_trust_directory_may_replace_both() {
        let paths = paths(&[("HOME", "/h"), (TRUST_DIRECTORY_VARIABLE, "demo/trust")]).unwrap();
        assert_eq!(paths.trust_directories(), [Path::new("demo/trust")]);
        assert_eq!(paths.trust_directory_own(), Path::new("demo/trust"));
    }

    #[test]
    fn no_name_leaves_its_directory() {
        let paths = paths(&[("HOME", "/h")]).unwrap();
        let root = Fingerprint([0xab; 32]);
        let dots: LicenseId = "..".parse().unwrap();
        let lease = LeaseId {
            epoch: Epoch(0x10),
            commit: Commit(0x2a),
        };
        let mark = paths.epoch_mark(&root, &dots);
        assert_eq!(
            mark.parent(),
            Some(paths.machine_state().join("marks").as_path())
        );
        assert!(mark.file_name().unwrap().len() < 255);
        assert_eq!(
            paths.lease_file(&root, &lease).file_name().unwrap(),
            "abababab-10-2a.lease"
        );
        assert!(
            paths
                .last_good_server(&root)
                .starts_with(paths.machine_state())
        );
    }
}
