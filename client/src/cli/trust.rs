//! `usher trust`: which vendors the commands of this user believe (T3). Decides how keys come in
//! and are shown; what a root is and which may stand beside which, `trust.rs` of the library.

use super::{
    context::Context,
    failure::Failure,
    output,
    table::{Side, Table},
};
use serde::Serialize;
use std::{io::Read, path::Path, process::ExitCode};
use usher_client::{
    Error,
    error::exit,
    protocol::{documents::vendor::VendorKey, names::VendorName},
    trust::{Trust, TrustedRoot},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Trust a vendor from now on
    Add(AddArgs),
    /// List the vendors trusted here
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Trust a vendor no more
    Remove {
        /// Its name, or its fingerprint
        #[arg(value_name = "VENDOR")]
        vendor: String,
    },
}

#[derive(Debug, clap::Args)]
struct AddArgs {
    /// The vendor's key file, the key itself (ed25519:…), or - for standard input
    #[arg(value_name = "FILE|KEY|-")]
    key: String,
    /// The vendor's name, where the key does not come with one
    #[arg(long, value_name = "NAME")]
    vendor: Option<VendorName>,
}

pub(crate) fn trust(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    match args.verb {
        Verb::Add(args) => add(context, args)?,
        Verb::List { json } => list(context, json)?,
        Verb::Remove { vendor } => remove(context, &vendor)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn add(context: &Context, args: AddArgs) -> Result<(), Failure> {
    let mut key = read(&args.key)?;
    match (&key.vendor, args.vendor) {
        (Some(named), Some(given)) if *named != given => {
            return Err(Failure::new(
                format!(
                    "the key file is the vendor `{named}`'s, not `{given}`'s\nnext: leave --vendor out"
                ),
                exit::USAGE,
            ));
        }
        (None, Some(given)) => key.vendor = Some(given),
        (None, None) => key.vendor = name_of_file(&args.key),
        _ => {}
    }
    if key.vendor.is_none() {
        return Err(Failure::new(
            "the key does not say whose it is\nnext: give the vendor's name with --vendor NAME",
            exit::USAGE,
        ));
    }
    let added = Trust::add(&context.paths, &key).map_err(Error::from)?;
    // The fingerprint is what a person compares with the vendor's word.
    output::text(&format!("{}  {}\n", added.vendor, added.root.fingerprint()))?;
    context.say(&format!("trusted from now on: {}", added.path.display()));
    Ok(())
}

/// A file `acme.pub` with a bare key names its vendor (as in `trust.d`).
fn name_of_file(key: &str) -> Option<VendorName> {
    let path = Path::new(key);
    let is_key_file = path.extension().is_some_and(|extension| extension == "pub");
    let stem = path.file_stem().filter(|_| is_key_file)?;
    stem.to_str()?.parse().ok()
}

fn read(key: &str) -> Result<VendorKey, Failure> {
    let wrong = |what: &str, error: &dyn std::fmt::Display| {
        Failure::new(
            format!("{what}: {error}\nnext: take the key file that the vendor gave you"),
            exit::CONFIGURATION,
        )
    };
    let text = if key.starts_with("ed25519:") {
        key.to_owned()
    } else if key == "-" {
        let mut text = String::new();
        let read = std::io::stdin()
            .take(KEY_BYTES_MAX)
            .read_to_string(&mut text);
        read.map_err(|error| wrong("standard input", &error))?;
        text
    } else {
        let file = std::fs::File::open(key).map_err(|error| wrong(key, &error))?;
        let mut text = String::new();
        let read = file.take(KEY_BYTES_MAX).read_to_string(&mut text);
        read.map_err(|error| wrong(key, &error))?;
        text
    };
    text.parse().map_err(|error| wrong(key, &error))
}

fn list(context: &Context, json: bool) -> Result<(), Failure> {
    let trust = context.trust()?;
    if json {
        let rows: Vec<Row<'_>> = trust.roots().iter().map(Row::of).collect();
        return output::json(&rows);
    }
    if trust.roots().is_empty() {
        context.say("no vendor is trusted here\nnext: `usher trust add VENDOR.pub`");
        return Ok(());
    }
    let mut table = Table::new(&[
        ("VENDOR", Side::Left),
        ("FINGERPRINT", Side::Left),
        ("FILE", Side::Left),
    ]);
    for root in trust.roots() {
        table.row([
            root.vendor.to_string(),
            root.root.fingerprint().to_string(),
            root.path.display().to_string(),
        ]);
    }
    output::text(&table.to_string())
}

fn remove(context: &Context, vendor: &str) -> Result<(), Failure> {
    let trust = context.trust()?;
    let is = |root: &&TrustedRoot| {
        root.vendor.as_str() == vendor || root.root.fingerprint().to_string() == vendor
    };
    let root = trust.roots().iter().find(is).ok_or_else(|| {
        Failure::new(
            format!("`{vendor}` is not trusted here\nnext: see `usher trust list`"),
            exit::USAGE,
        )
    })?;
    std::fs::remove_file(&root.path).map_err(|error| {
        Failure::new(
            format!(
                "cannot remove {}: {error}\nnext: ask this machine's administrator to remove it",
                root.path.display()
            ),
            exit::CONFIGURATION,
        )
    })?;
    context.say(&format!("not trusted any more: {}", root.vendor));
    // The same root may stand in both directories.
    if let Some(left) = context.trust()?.by_fingerprint(&root.root.fingerprint()) {
        return Err(Failure::new(
            format!(
                "it is still trusted by {}\nnext: remove that too",
                left.path.display()
            ),
            exit::CONFIGURATION,
        ));
    }
    Ok(())
}

#[derive(Serialize)]
struct Row<'a> {
    vendor: &'a str,
    fingerprint: String,
    root: String,
    file: String,
}

impl<'a> Row<'a> {
    fn of(root: &'a TrustedRoot) -> Self {
        Self {
            vendor: root.vendor.as_str(),
            fingerprint: root.root.fingerprint().to_string(),
            root: root.root.to_string(),
            file: root.path.display().to_string(),
        }
    }
}

/// A key file has a few hundred bytes.
const KEY_BYTES_MAX: u64 = 64 * 1024;
