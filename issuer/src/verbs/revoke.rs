//! `revoke`: the root takes back an issuing key or a license; the list travels in later licenses (T7).

use usher_protocol::{
    documents::revocation::{RevocationList, VerifiedRevocationList},
    envelope::DocumentType,
};

use super::{key, open, record, say};
use crate::{cli::Revoke, clock, error::Error, passphrase, vault::Vault};

/// Signs the next list: the last one, and what is new.
pub(crate) fn revoke(args: &Revoke) -> Result<(), Error> {
    let vault = open(&args.keys)?;
    let passphrase = passphrase::ask(args.keys.passphrase_file.as_deref())?;
    let root = key::open_root(&vault, args.root_key.as_deref(), &passphrase)?;
    let list = next_list(&vault, args)?;
    let signed = list
        .sign(&root)
        .map_err(|error| Error::Document(error.to_string()))?;
    let about = format!("revocation list {}", list.number);
    record(&vault, DocumentType::REVOCATION, &signed, about, &root)?;
    vault.keep_revocations(&signed)?;
    say(&format!(
        "revocation list {}: {} issuing keys, {} licenses",
        list.number,
        list.issuing_keys.len(),
        list.licenses.len()
    ));
    say("Sites learn of it with the next license that you send them.");
    Ok(())
}

/// The newest list, checked against the vendor's root.
pub(crate) fn current(vault: &Vault) -> Result<Option<RevocationList>, Error> {
    let Some(signed) = vault.revocations()? else {
        return Ok(None);
    };
    let verified = VerifiedRevocationList::verify(&signed, &vault.vendor_key().root)
        .map_err(|error| Error::Vault(format!("revocations: {error}")))?;
    Ok(Some((*verified).clone()))
}

fn next_list(vault: &Vault, args: &Revoke) -> Result<RevocationList, Error> {
    let mut list = current(vault)?.unwrap_or(RevocationList {
        root: vault.vendor_key().root,
        number: 0,
        issued: clock::wall(),
        issuing_keys: Vec::new(),
        licenses: Vec::new(),
    });
    if let Some(number) = args.key {
        let certificates = vault.certificates()?;
        let found = certificates
            .iter()
            .find(|it| it.number == number)
            .ok_or_else(|| {
                Error::Usage(format!(
                    "no issuing key {number}; `usher-issuer key show` lists them"
                ))
            })?;
        add(
            &mut list.issuing_keys,
            found.certificate.issuing.fingerprint(),
        );
    }
    if let Some(license) = &args.license {
        add(&mut list.licenses, license.clone());
    }
    list.number += 1;
    list.issued = clock::wall();
    Ok(list)
}

fn add<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}
