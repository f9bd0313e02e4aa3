//! The issuer's log: every signature is written here, durably, before it is released.
//!
//! One line an entry: a JSON statement, a tab, and the base64 of the signer's signature over exactly
//! those JSON bytes. Each statement carries the SHA-256 of the whole line before it; `log.head` keeps
//! number and hash of the last line. So an edited, removed, inserted or reordered line is found, and
//! so is a cut-off end unless log and head are both put back to one older moment; against that, note
//! the head that `log verify` prints in another place and pass it with `--expect` later.

use std::path::PathBuf;

use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use usher_protocol::{
    envelope::{self, DocumentType, Signature},
    ids::{Fingerprint, PublicKey},
    time::WallMs,
};

use crate::{error::Error, files};

/// One signature that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Statement {
    /// Counts the entries, from 1.
    pub(crate) number: u64,
    /// SHA-256 of the line before, in hex; zeros at the first.
    pub(crate) previous: String,
    /// When, by this machine's wall clock, in milliseconds since the Unix epoch.
    pub(crate) at_ms: u64,
    /// Fingerprint of the key that signed.
    pub(crate) signer: String,
    /// The document's type under the signature.
    pub(crate) document: String,
    /// SHA-256 of the signed bytes, in hex.
    pub(crate) hash: String,
    /// The license and its serial, when it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) license: Option<(String, u64)>,
    /// For people.
    pub(crate) about: String,
}

/// What is about to be signed.
pub(crate) struct Subject {
    /// Its type.
    pub(crate) document: DocumentType,
    /// SHA-256 of the signed bytes.
    pub(crate) hash: Fingerprint,
    /// The license and its serial, when it is one.
    pub(crate) license: Option<(String, u64)>,
    /// For people.
    pub(crate) about: String,
}

/// The log of one vendor's key directory.
pub(crate) struct Log {
    path: PathBuf,
    head_path: PathBuf,
}

/// Number and hash of the last line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Head {
    /// The last entry's number; 0 when there is none.
    pub(crate) number: u64,
    /// SHA-256 of its line, in hex; zeros when there is none.
    pub(crate) hash: String,
}

impl Log {
    /// The log in `dir`; it need not exist yet.
    pub(crate) fn at(dir: &std::path::Path) -> Self {
        Self {
            path: dir.join("issuer.log"),
            head_path: dir.join("issuer.log.head"),
        }
    }

    /// Records a signature durably. The caller holds the vault's lock and releases what it signed
    /// only after this returns.
    pub(crate) fn record(
        &self,
        at: WallMs,
        subject: Subject,
        signer: &SigningKey,
        trusted: &[PublicKey],
    ) -> Result<Statement, Error> {
        let (_, head) = self.verify(trusted)?;
        let statement = Statement {
            number: head.number + 1,
            previous: head.hash,
            at_ms: at.0,
            signer: PublicKey::from(signer).fingerprint().to_string(),
            document: subject.document.as_str().to_owned(),
            hash: subject.hash.to_string(),
            license: subject.license,
            about: subject.about,
        };
        let text = serde_json::to_string(&statement).map_err(|e| Error::Log(e.to_string()))?;
        let signature = envelope::sign(DocumentType::ISSUER_LOG, text.as_bytes(), signer);
        let line = format!("{text}\t{}", BASE64.encode(&signature.to_bytes()));
        files::append_line(&self.path, &line)?;
        self.keep_head(&Head {
            number: statement.number,
            hash: hash_of(&line),
        })?;
        Ok(statement)
    }

    /// Reads and checks every line; gives the statements and the head.
    pub(crate) fn verify(&self, trusted: &[PublicKey]) -> Result<(Vec<Statement>, Head), Error> {
        let text = if self.path.exists() {
            files::read(&self.path)?
        } else {
            String::new()
        };
        let mut head = Head {
            number: 0,
            hash: HEXLOWER.encode(&[0; 32]),
        };
        let mut statements = Vec::new();
        let mut before_last = None;
        if !text.is_empty() && !text.ends_with('\n') {
            return Err(self.broken(head.number + 1, "the last line is cut off in its middle"));
        }
        for line in text.lines() {
            let statement = self.check_line(line, &head, trusted)?;
            before_last = Some(head);
            head = Head {
                number: statement.number,
                hash: hash_of(line),
            };
            statements.push(statement);
        }
        self.check_head(&head, before_last.as_ref())?;
        Ok((statements, head))
    }

    fn check_line(
        &self,
        line: &str,
        head: &Head,
        trusted: &[PublicKey],
    ) -> Result<Statement, Error> {
        let number = head.number + 1;
        let broken = |why: &str| self.broken(number, why);
        let (text, signature) = line
            .rsplit_once('\t')
            .ok_or_else(|| broken("it carries no signature"))?;
        let statement: Statement =
            serde_json::from_str(text).map_err(|_| broken("it is no statement"))?;
        if statement.number != number || statement.previous != head.hash {
            return Err(broken("a line before it was edited, removed or moved"));
        }
        let signer = trusted
            .iter()
            .find(|key| key.fingerprint().to_string() == statement.signer)
            .ok_or_else(|| broken("its signer is no key of this vendor"))?;
        let bytes = BASE64.decode(signature.as_bytes()).ok();
        let bytes: [u8; 64] = bytes
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| broken("its signature cannot be read"))?;
        let signature = Signature::from_bytes(&bytes);
        envelope::verify(
            DocumentType::ISSUER_LOG,
            text.as_bytes(),
            &signature,
            signer,
        )
        .map_err(|_| broken("it was edited: its signature does not fit"))?;
        Ok(statement)
    }

    /// The kept head is the last line, or, after a crash between the two writes, the one before it.
    fn check_head(&self, head: &Head, before_last: Option<&Head>) -> Result<(), Error> {
        let kept = match files::read(&self.head_path) {
            Ok(text) => serde_json::from_str::<Head>(&text)
                .map_err(|_| self.broken(head.number, "the kept head cannot be read"))?,
            Err(_) if head.number <= 1 => return Ok(()),
            Err(error) => return Err(error),
        };
        if kept == *head || Some(&kept) == before_last {
            return Ok(());
        }
        let why = format!(
            "the log ends at entry {}, but entry {} was the last one written: its end was cut off or its last line edited",
            head.number, kept.number
        );
        Err(self.broken(head.number, &why))
    }

    fn keep_head(&self, head: &Head) -> Result<(), Error> {
        let text = serde_json::to_string(head).map_err(|e| Error::Log(e.to_string()))?;
        files::replace(&self.head_path, format!("{text}\n").as_bytes(), 0o600)
    }

    fn broken(&self, number: u64, why: &str) -> Error {
        Error::Log(format!(
            "{}: entry {number}: {why}; compare with a backup before you sign anything more",
            self.path.display()
        ))
    }
}

fn hash_of(line: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(line.as_bytes()))
}
