//! `log show`, `log verify`.

use usher_protocol::{calendar::rfc3339, ids::Fingerprint, time::WallMs};

use super::{open, say};
use crate::{
    cli::{LogShow, LogVerify},
    error::Error,
    log::{Head, Statement},
};

/// Lists the signatures, oldest first; a broken log is an error, not a list.
pub(crate) fn show(args: &LogShow) -> Result<(), Error> {
    let vault = open(&args.keys)?;
    let (statements, _) = vault.log().verify(&vault.trusted()?)?;
    for statement in &statements {
        if args.json {
            say(&serde_json::to_string(statement).map_err(|e| Error::Log(e.to_string()))?);
        } else {
            let at = rfc3339(WallMs(statement.at_ms));
            say(&format!(
                "{:>5}  {at}  {}",
                statement.number, statement.about
            ));
        }
    }
    Ok(())
}

/// Checks the whole chain and prints its head, to be noted elsewhere.
pub(crate) fn verify(args: &LogVerify) -> Result<(), Error> {
    let vault = open(&args.keys)?;
    let (statements, head) = vault.log().verify(&vault.trusted()?)?;
    if let Some((number, hash)) = args.expect {
        check_noted(&statements, &head, number, hash)?;
    }
    say(&format!(
        "{} entries, each in its place, none missing",
        head.number
    ));
    say(&format!("head {}:{}", head.number, head.hash));
    Ok(())
}

/// The noted head must be the last line, or what the line after it calls its predecessor.
fn check_noted(
    statements: &[Statement],
    head: &Head,
    number: u64,
    hash: Fingerprint,
) -> Result<(), Error> {
    let hash = hash.to_string();
    let next = statements.iter().find(|it| it.number == number + 1);
    if (head.number == number && head.hash == hash) || next.is_some_and(|it| it.previous == hash) {
        return Ok(());
    }
    Err(Error::Log(format!(
        "entry {number} is not the one you noted: the log was cut off or rewritten; compare with a backup"
    )))
}
