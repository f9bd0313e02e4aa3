//! An event as the fields of one entry of systemd's journal, in its native protocol.
//!
//! Decides names: `USHER_` and the word that `usherd usage export` has. A feature `vendor/feature` is two fields, so that
//! either can be searched for.

use std::fmt;

use serde_json::{Map, Value};
use tracing::{
    Event, Level,
    field::{Field, Visit},
};
use usher_protocol::printable::printable_char;

use crate::limits::LOG_VALUE_BYTES_MAX;

/// A field that the message says already: for searching, not for reading.
pub(super) fn is_for_journal(name: &str) -> bool {
    matches!(
        name,
        FACT | "event" | "notice" | "count" | "actor" | "token" | "scope" | "address"
    )
}

/// One entry in the making.
#[derive(Debug, Default)]
pub(super) struct Entry {
    bytes: Vec<u8>,
    message: String,
    notice: bool,
}

impl Entry {
    /// The whole entry, to be sent in one datagram.
    pub(super) fn of(event: &Event<'_>) -> Vec<u8> {
        let mut entry = Self::default();
        event.record(&mut entry);
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO if entry.notice => 5,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        let message = std::mem::take(&mut entry.message);
        entry.put("MESSAGE", &message);
        entry.put("PRIORITY", &priority.to_string());
        entry.put("SYSLOG_IDENTIFIER", IDENTIFIER);
        entry.bytes
    }

    fn put(&mut self, name: &str, value: &str) {
        let mut end = value.len().min(LOG_VALUE_BYTES_MAX);
        while !value.is_char_boundary(end) {
            end -= 1;
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(b'=');
        // A line end would begin another field: whose name, a client could choose.
        let clean = value[..end].chars().map(printable_char);
        self.bytes.extend(clean.collect::<String>().bytes());
        self.bytes.push(b'\n');
    }

    fn spread(&mut self, fields: Map<String, Value>) {
        for (name, value) in fields {
            match value {
                Value::Null | Value::Bool(false) => {}
                Value::String(text) if name == "feature" => match text.split_once('/') {
                    Some((vendor, feature)) => {
                        self.put(&journal_name("vendor"), vendor);
                        self.put(&journal_name(&name), feature);
                    }
                    None => self.put(&journal_name(&name), &text),
                },
                Value::String(text) => self.put(&journal_name(&name), &text),
                other => self.put(&journal_name(&name), &other.to_string()),
            }
        }
    }

    fn take(&mut self, name: &str, value: String) {
        match name {
            "message" => self.message = value,
            FACT => {
                if let Ok(Value::Object(fields)) = serde_json::from_str(&value) {
                    self.spread(fields);
                }
            }
            name => self.put(&journal_name(name), &value),
        }
    }
}

impl Visit for Entry {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field.name(), value.to_owned());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == "notice" {
            self.notice = value;
        } else {
            self.take(field.name(), value.to_string());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field.name(), format!("{value:?}"));
    }
}

/// `waited-ms` becomes `USHER_WAITED_MS`; the journal takes no other characters.
fn journal_name(name: &str) -> String {
    let letter = |c: char| match c {
        c if c.is_ascii_alphanumeric() => c.to_ascii_uppercase(),
        _ => '_',
    };
    let name: String = name.chars().map(letter).collect();
    format!("USHER_{name}")
}

/// A field that holds the fields of a fact, as one JSON object.
const FACT: &str = "fact";
const IDENTIFIER: &str = "usherd";
