//! Decides what we say of ourselves as a holder (T6): login, host, display and process, in words
//! that every server takes. Must not be relied on by anybody: these are a client's own words.

use crate::process::accounts;
use std::ffi::OsStr;
use usher_protocol::{limits::HOLDER_BYTES_MAX, printable::printable_char, wire::Holder};

/// This login on this host, this process.
pub fn local_holder() -> Holder {
    let variable = |name: &str| std::env::var_os(name).filter(|text| !text.is_empty());
    let user = variable("USER").or_else(|| variable("LOGNAME"));
    let user = user.unwrap_or_else(|| account().into());
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let display = variable("DISPLAY").or_else(|| variable("WAYLAND_DISPLAY"));
    Holder {
        user: plain(&user),
        host: plain(OsStr::new(&host)),
        display: display.map(|display| plain(&display)),
        process: std::process::id(),
    }
}

fn account() -> String {
    let uid = rustix::process::getuid().as_raw();
    accounts::user_name(uid).unwrap_or_else(|| format!("uid-{uid}"))
}

/// Unicode without control characters, of bounded length, never empty.
fn plain(text: &OsStr) -> String {
    let mut plain = String::new();
    for c in text.to_string_lossy().chars() {
        let c = printable_char(c);
        if plain.len() + c.len_utf8() > HOLDER_BYTES_MAX {
            break;
        }
        plain.push(c);
    }
    if plain.is_empty() {
        plain.push('?');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn names_that_are_not_unicode_are_shown_as_far_as_they_are() {
        assert_eq!(plain(OsStr::from_bytes(b"j\xf6rg")), "j\u{fffd}rg");
        assert_eq!(plain(OsStr::new("a\nb\u{1b}[m")), "a\u{fffd}b\u{fffd}[m");
        assert_eq!(plain(OsStr::new("")), "?");
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let long = "é".repeat(200);
        let cut = plain(OsStr::new(&long));
        assert_eq!(cut.len(), HOLDER_BYTES_MAX);
        assert!(cut.chars().all(|c| c == 'é'));
    }

    #[test]
    fn this_process_has_a_name() {
        let holder = local_holder();
        assert_eq!(holder.process, std::process::id());
        assert!(!holder.user.is_empty() && !holder.host.is_empty());
    }
}
