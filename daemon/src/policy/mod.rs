//! The administrator's policy file: decides what it may say, and turns it into the engine's [`Policy`].
//!
//! A file is judged as a whole: what is wrong with it is said all at once, and a file with a fault
//! gives no policy. What its rules mean is the engine's to say; whether its reservations can be met
//! needs the licenses, so the engine judges that too.

mod contradictions;
mod error;
pub mod flexnet;
mod groups;
mod rules;
mod suggest;
mod table;

use std::{fs::File, io::Read as _, path::Path};

use toml::de::DeTable;
use usher_engine::policy::{Line, Policy};

use error::Faults;
pub use error::{Fault, PolicyError};
use rules::Rules;
use table::{Fields, Word};

use crate::limits;

/// Reads and checks the file at `path`. No file is no policy: everybody gets what the license gives.
///
/// # Errors
/// [`PolicyError`], which says everything that is wrong with the file, up to a limit.
pub fn load(path: &Path) -> Result<Policy, PolicyError> {
    match read(path) {
        Err(error) if error.is_absent() => Ok(Policy::default()),
        read => parse(path, &read?),
    }
}

/// Reads and checks the file at `path`, which must exist.
///
/// # Errors
/// [`PolicyError`].
pub fn load_existing(path: &Path) -> Result<Policy, PolicyError> {
    parse(path, &read(path)?)
}

/// Checks `text`; `path` is for messages and for the rules' references alone.
///
/// # Errors
/// [`PolicyError::Wrong`].
pub fn parse(path: &Path, text: &str) -> Result<Policy, PolicyError> {
    let mut faults = Faults::of(text);
    let policy = if let Ok(root) = DeTable::parse(text) {
        policy(path, root.get_ref(), &mut faults)
    } else {
        syntax(text, &mut faults);
        Policy::default()
    };
    faults.end(path).map(|()| policy)
}

/// What the engine refuses of the rule that stands at `line` of the file, told like any other fault.
pub fn refused_at(path: &Path, line: u32, message: &str) -> PolicyError {
    let text = read(path).unwrap_or_default();
    let mut faults = Faults::of(&text);
    let mut starts = text.split_inclusive('\n').scan(0, |next, line| {
        let start = *next;
        *next += line.len();
        Some((start, line.trim_end()))
    });
    let index = (line as usize).saturating_sub(1);
    let (start, source) = starts.nth(index).unwrap_or((0, ""));
    faults.at(start..start + source.len(), message);
    faults.into_error(path)
}

/// What follows a fault of syntax is a guess: no word of it is judged, and of each line only the
/// first fault is believed.
fn syntax(text: &str, faults: &mut Faults<'_>) {
    let errors = DeTable::parse_recoverable(text).1;
    let mut errors: Vec<_> = errors
        .iter()
        .map(|error| (error.span().unwrap_or(0..0), error.message().trim_end()))
        .collect();
    errors.sort_by_key(|(span, _)| span.start);
    errors.dedup_by_key(|(span, _)| faults.line(span.start));
    for (span, message) in errors {
        faults.at(span, message);
    }
}

fn policy(path: &Path, root: &DeTable<'_>, faults: &mut Faults<'_>) -> Policy {
    let root = Fields::of_root(root, WORDS, faults);
    let groups = groups::read(&root, faults);
    let rules = Rules::read(&root, &groups.list, faults);
    rules.contradictions(faults);
    let enroll = root.value("enroll").and_then(|word| enroll(&word, faults));
    let name = path.file_name().unwrap_or(path.as_os_str());
    Policy {
        file: name.to_string_lossy().into_owned(),
        enroll,
        groups: groups.list,
        ..rules.into_policy()
    }
}

fn enroll(word: &Word<'_>, faults: &mut Faults<'_>) -> Option<Line> {
    match word.one_of(&["open", "required"], faults)? {
        "required" => Some(Line(faults.line(word.span().start))),
        _ => None,
    }
}

fn read(path: &Path) -> Result<String, PolicyError> {
    let unreadable = |source| PolicyError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| {
            file.take(limits::POLICY_BYTES_MAX + 1)
                .read_to_end(&mut bytes)
        })
        .map_err(unreadable)?;
    if bytes.len() as u64 > limits::POLICY_BYTES_MAX {
        return Err(PolicyError::TooLong {
            path: path.to_owned(),
        });
    }
    String::from_utf8(bytes).map_err(|error| PolicyError::NotText {
        path: path.to_owned(),
        at: error.utf8_error().valid_up_to(),
    })
}

const WORDS: &[&str] = &[
    "enroll", "groups", "deny", "allow", "maximum", "reserve", "priority", "lease", "linger",
    "idle", "borrow", "queue",
];

#[cfg(test)]
mod tests;
