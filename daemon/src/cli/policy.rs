//! `usherd policy`: is a policy file good, and what a FlexNet options file becomes as one.
//!
//! Both work off line and touch nothing. Whether reservations can be met is the running daemon's to say.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use usher_engine::policy::Policy;
use usher_protocol::names::VendorName;

use super::{Failure, print};
use crate::{
    config::{Config, Overrides, Places},
    limits::POLICY_BYTES_MAX,
    policy::{PolicyError, flexnet},
};

/// What to do with policies.
#[derive(Debug, clap::Subcommand)]
pub(super) enum PolicyVerb {
    /// Check a policy file, without the daemon
    Check(CheckArgs),
    /// Turn a FlexNet options file into a policy, and say what does not fit
    ImportFlexnet(ImportArgs),
}

/// What to check.
#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// The file [default: the one that `serve` would read]
    file: Option<PathBuf>,
}

/// What to convert.
#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    /// The options file, or `-` for standard input
    file: PathBuf,
    /// The vendor whose features it names: `solver` there is `acme/solver` here
    #[arg(long, value_name = "NAME")]
    vendor: VendorName,
}

/// Does it.
pub(super) fn run(verb: PolicyVerb, places: &Places) -> Result<(), Failure> {
    match verb {
        PolicyVerb::Check(args) => check(args, places),
        PolicyVerb::ImportFlexnet(args) => import(&args),
    }
}

fn check(args: CheckArgs, places: &Places) -> Result<(), Failure> {
    let mut overrides = Overrides::of_places(places);
    if args.file.is_some() {
        overrides.places.policy = args.file;
    }
    let config = Config::load(&overrides)?;
    let name = config.policy.display();
    let policy = config.load_policy()?;
    if policy == Policy::default() {
        return print::text(&format!(
            "no file {name}: everybody gets what the licenses give\n"
        ));
    }
    print::text(&format!("{name}: good ({})\n", policy.summary()))
}

fn import(args: &ImportArgs) -> Result<(), Failure> {
    let name = args.file.display();
    let text = read(&args.file)?;
    let converted = flexnet::convert(&text, &args.vendor).map_err(|error| {
        Failure::new(format!(
            "what {name} becomes is no policy; take lines out, or convert it in parts:\n{error}"
        ))
    })?;
    print::text(&converted.policy)?;
    for remark in &converted.remarks {
        eprintln!("{name}:{}: {}", remark.line, print::plain(&remark.text));
    }
    let mut lines: Vec<u32> = converted.remarks.iter().map(|remark| remark.line).collect();
    lines.dedup();
    match lines.len() {
        0 => Ok(()),
        count => Err(Failure::new(format!(
            "{} converted, {count} not or not wholly; what is above says why",
            converted.lines
        ))),
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    let name = path.display();
    let mut bytes = Vec::new();
    let limit = POLICY_BYTES_MAX + 1;
    let read = if path.as_os_str() == "-" {
        io::stdin().take(limit).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|error| {
        Failure::new(format!(
            "cannot read {name}: {error}; check the path, then try again"
        ))
    })?;
    if bytes.len() as u64 > POLICY_BYTES_MAX {
        return Err(Failure::new(format!(
            "{name} is longer than {POLICY_BYTES_MAX} bytes: is it an options file?"
        )));
    }
    // Options files are UTF-8 or, as FlexNet has it, Latin-1.
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| error.as_bytes().iter().copied().map(char::from).collect()))
}

impl From<PolicyError> for Failure {
    fn from(error: PolicyError) -> Self {
        Self::configuration(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_options_file_in_latin_1_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("acme.opt");
        std::fs::write(&path, b"EXCLUDE f USER j\xf6rg\n").unwrap();
        assert_eq!(read(&path).unwrap(), "EXCLUDE f USER jörg\n");
        std::fs::write(&path, vec![b'#'; 1024 * 1024 + 1]).unwrap();
        assert!(read(&path).unwrap_err().message().contains("longer than"));
    }
}
