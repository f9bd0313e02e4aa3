//! What each verb does, a file for each noun.

mod key;
mod license;
mod log;
mod revoke;

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use clap::CommandFactory;
use ed25519_dalek::SigningKey;
use serde::Serialize;
use usher_pages::Section;
use usher_protocol::{
    envelope::{DocumentType, Signed},
    ids::Fingerprint,
    names::VendorName,
};

use crate::{
    cli::{Cli, KeyVerb, Keys, LicenseVerb, LogVerb, Verb},
    clock,
    error::Error,
    log::Subject,
    vault::{self, Vault},
};

/// Does what was asked.
pub(crate) fn run(verb: Verb) -> Result<(), Error> {
    match verb {
        Verb::Key(KeyVerb::New(args)) => key::new(args),
        Verb::Key(KeyVerb::Show(args)) => key::show(&args),
        Verb::Key(KeyVerb::Rotate(args)) => key::rotate(&args),
        Verb::License(LicenseVerb::New(args)) => license::new(*args),
        Verb::License(LicenseVerb::Show(args)) => license::show(&args),
        Verb::License(LicenseVerb::Verify(args)) => license::verify(&args),
        Verb::Revoke(args) => revoke::revoke(&args),
        Verb::Log(LogVerb::Show(args)) => log::show(&args),
        Verb::Log(LogVerb::Verify(args)) => log::verify(&args),
        Verb::Pages(pages) => (pages.make(Cli::command(), Section::User))
            .map_err(Error::file("cannot write", Path::new("the pages"))),
    }
}

fn open(keys: &Keys) -> Result<Vault, Error> {
    Vault::open(&dir(keys.dir.clone(), keys.vendor.as_ref())?)
}

fn dir(dir: Option<PathBuf>, vendor: Option<&VendorName>) -> Result<PathBuf, Error> {
    dir.map_or_else(|| vault::default_dir(vendor.map(VendorName::as_str)), Ok)
}

/// Records a signature of `signed`; only then may the caller release it.
fn record(
    vault: &Vault,
    document: DocumentType,
    signed: &Signed,
    about: String,
    signer: &SigningKey,
) -> Result<(), Error> {
    let hash = Fingerprint::of(&signed.body);
    let subject = Subject {
        document,
        hash,
        license: None,
        about,
    };
    vault
        .log()
        .record(clock::wall(), subject, signer, &vault.trusted()?)
        .map(drop)
}

/// Prints a line of text; a closed pipe is not worth a word.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn say_json(value: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::Document(e.to_string()))?;
    say(&text);
    Ok(())
}
