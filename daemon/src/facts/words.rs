//! How seats and environments are said, wherever people read them.

use usher_protocol::wire::Environment;

/// `1 seat`, `3 seats`.
pub(crate) fn counted(count: impl Into<u64>, one: &str) -> String {
    counted_as(count.into(), one, &format!("{one}s"))
}

/// `1 entry`, `3 entries`.
pub(crate) fn counted_as(count: u64, one: &str, more: &str) -> String {
    let word = if count == 1 { one } else { more };
    format!("{count} {word}")
}

/// `live` or `test`.
pub(crate) const fn environment(environment: Environment) -> &'static str {
    match environment {
        Environment::Live => "live",
        Environment::Test => "test",
    }
}
