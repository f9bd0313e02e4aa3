//! `key new`, `key show`, `key rotate`.

use std::path::Path;

use ed25519_dalek::SigningKey;
use serde::Serialize;
use usher_protocol::{
    calendar::rfc3339,
    documents::{certificate::Certificate, vendor::VendorKey},
    envelope::DocumentType,
    ids::PublicKey,
    names::VendorName,
    time::DurationMs,
};

use super::{dir, open, record, say, say_json};
use crate::{
    cli::{KeyNew, KeyRotate, KeyShow},
    clock,
    error::Error,
    passphrase,
    vault::{self, Vault},
};

/// Makes root and issuing key, the certificate between them, and the vendor key file.
pub(crate) fn new(args: KeyNew) -> Result<(), Error> {
    let dir = dir(args.dir, Some(&args.vendor))?;
    let passphrase = passphrase::choose(args.passphrase_file.as_deref())?;
    let root = vault::new_key()?;
    let vendor_key = VendorKey {
        vendor: Some(args.vendor),
        root: PublicKey::from(&root),
    };
    let vault = Vault::create(&dir, vendor_key)?;
    let root_path = args.root_key.unwrap_or_else(|| vault.root_path());
    vault::keep_key(&root_path, &root, &passphrase)?;
    add_issuing_key(&vault, &root, &passphrase, args.valid)?;
    say(&format!("root key      {}", root_path.display()));
    say(&format!(
        "issuing key   {}",
        vault.issuing_path(1).display()
    ));
    say(&format!("vendor key    {}", vault.public_path()?.display()));
    say(&format!(
        "fingerprint   {}",
        vault.vendor_key().root.fingerprint()
    ));
    say("Ship the vendor key file with your product; keep the others, and a backup, to yourself.");
    Ok(())
}

/// Makes the next issuing key; from now on it signs.
pub(crate) fn rotate(args: &KeyRotate) -> Result<(), Error> {
    let vault = open(&args.keys)?;
    let passphrase = passphrase::ask(args.keys.passphrase_file.as_deref())?;
    let root = open_root(&vault, args.root_key.as_deref(), &passphrase)?;
    let number = add_issuing_key(&vault, &root, &passphrase, args.valid)?;
    say(&format!(
        "issuing key   {}",
        vault.issuing_path(number).display()
    ));
    say("New licenses are signed by it. Licenses of the older keys stay good until they expire.");
    Ok(())
}

/// Prints what is public.
pub(crate) fn show(args: &KeyShow) -> Result<(), Error> {
    let vault = open(&args.keys)?;
    let shown = shown(&vault)?;
    if args.json {
        return say_json(&shown);
    }
    say(&format!("vendor        {}", shown.vendor));
    say(&format!("root          {}", shown.root));
    say(&format!("fingerprint   {}", shown.fingerprint));
    for key in &shown.issuing {
        let revoked = if key.revoked { "  REVOKED" } else { "" };
        say(&format!("issuing {:<5} {}", key.number, key.key));
        say(&format!(
            "  signs       {} to {}{revoked}",
            key.starts, key.expires
        ));
    }
    Ok(())
}

/// Opens the root key, wherever it is kept, and checks that it is this vendor's.
pub(crate) fn open_root(
    vault: &Vault,
    path: Option<&Path>,
    passphrase: &str,
) -> Result<SigningKey, Error> {
    let path = path.map_or_else(|| vault.root_path(), Path::to_owned);
    let root = vault::open_key(&path, passphrase)?;
    if PublicKey::from(&root) == vault.vendor_key().root {
        return Ok(root);
    }
    Err(Error::Vault(format!(
        "{}: this is not the root of vendor {}; give the right one with --root-key",
        path.display(),
        vendor(vault)?
    )))
}

/// The vendor's name.
pub(crate) fn vendor(vault: &Vault) -> Result<VendorName, Error> {
    let nameless = || Error::Vault("the vendor key file names no vendor".to_owned());
    vault.vendor_key().vendor.clone().ok_or_else(nameless)
}

fn add_issuing_key(
    vault: &Vault,
    root: &SigningKey,
    passphrase: &str,
    valid: DurationMs,
) -> Result<u64, Error> {
    let number = vault
        .certificates()?
        .last()
        .map_or(1, |newest| newest.number + 1);
    let issuing = vault::new_key()?;
    let starts = clock::wall();
    let certificate = Certificate {
        root: PublicKey::from(root),
        vendor: vendor(vault)?,
        issuing: PublicKey::from(&issuing),
        serial: number,
        starts,
        expires: starts.plus(valid),
    };
    let signed = vault::certify(&certificate, root)?;
    let about = format!(
        "certificate {number} for issuing key {}",
        certificate.issuing
    );
    record(vault, DocumentType::CERTIFICATE, &signed, about, root)?;
    vault::keep_key(&vault.issuing_path(number), &issuing, passphrase)?;
    vault.keep_certificate(number, &signed)?;
    Ok(number)
}

#[derive(Serialize)]
struct Shown {
    vendor: VendorName,
    root: String,
    fingerprint: String,
    issuing: Vec<ShownIssuing>,
}

#[derive(Serialize)]
struct ShownIssuing {
    number: u64,
    key: String,
    fingerprint: String,
    starts: String,
    expires: String,
    revoked: bool,
}

fn shown(vault: &Vault) -> Result<Shown, Error> {
    let root = vault.vendor_key().root;
    let revocations = super::revoke::current(vault)?;
    let issuing = vault.certificates()?.into_iter().map(|it| ShownIssuing {
        number: it.number,
        key: it.certificate.issuing.to_string(),
        fingerprint: it.certificate.issuing.fingerprint().to_string(),
        starts: rfc3339(it.certificate.starts),
        expires: rfc3339(it.certificate.expires),
        revoked: revocations
            .as_ref()
            .is_some_and(|r| r.revokes_issuing(&it.certificate.issuing)),
    });
    Ok(Shown {
        vendor: vendor(vault)?,
        root: root.to_string(),
        fingerprint: root.fingerprint().to_string(),
        issuing: issuing.collect(),
    })
}
