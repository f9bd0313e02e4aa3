//! Where the passphrase of a key comes from: a file, the environment, or the terminal. Never empty.

use std::path::Path;

use zeroize::Zeroizing;

use crate::{error::Error, files};

/// The environment variable that may carry the passphrase.
pub(crate) const VARIABLE: &str = "USHER_ISSUER_PASSPHRASE";

/// The passphrase of a key that exists.
pub(crate) fn ask(file: Option<&Path>) -> Result<Zeroizing<String>, Error> {
    match given(file)? {
        Some(passphrase) => Ok(passphrase),
        None => prompt("Passphrase of the vendor's keys: "),
    }
}

/// The passphrase of a key about to be made; typed twice when it is typed.
pub(crate) fn choose(file: Option<&Path>) -> Result<Zeroizing<String>, Error> {
    if let Some(passphrase) = given(file)? {
        return Ok(passphrase);
    }
    let first = prompt("New passphrase for the vendor's keys: ")?;
    let second = prompt("The same again: ")?;
    if first == second {
        Ok(first)
    } else {
        Err(Error::Usage(
            "the two passphrases differ; start again".to_owned(),
        ))
    }
}

fn given(file: Option<&Path>) -> Result<Option<Zeroizing<String>>, Error> {
    let text = match (file, std::env::var(VARIABLE)) {
        (Some(path), _) => Zeroizing::new(files::read(path)?),
        (None, Ok(text)) => Zeroizing::new(text),
        (None, Err(_)) => return Ok(None),
    };
    checked(Zeroizing::new(
        text.trim_end_matches(['\r', '\n']).to_owned(),
    ))
    .map(Some)
}

fn prompt(words: &str) -> Result<Zeroizing<String>, Error> {
    let typed = rpassword::prompt_password(words).map_err(|error| {
        Error::Usage(format!(
            "no terminal to ask for the passphrase ({error}); give --passphrase-file FILE or {VARIABLE}"
        ))
    })?;
    checked(Zeroizing::new(typed))
}

fn checked(passphrase: Zeroizing<String>) -> Result<Zeroizing<String>, Error> {
    if passphrase.is_empty() {
        Err(Error::Usage(
            "an empty passphrase protects nothing; choose one".to_owned(),
        ))
    } else {
        Ok(passphrase)
    }
}
