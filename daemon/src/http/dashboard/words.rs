//! How words, moments and seats look on a page. Names are other people's words: each passes here, and the templates
//! escape what comes out.

use data_encoding::HEXUPPER;
use maud::{Markup, html};
use usher_client::clock::{local_rfc3339, utc_rfc3339};
use usher_protocol::{printable::printable, time::WallMs, wire::Environment};

/// Somebody's words, without what would reorder those around them.
pub(super) fn shown(text: &str) -> String {
    printable(text)
}

/// A moment, to the minute, by this machine's clock.
pub(super) fn moment(at: WallMs) -> Markup {
    html! { time datetime=(utc_rfc3339(at)) { (minute(at)) } }
}

/// `2026-11-22 16:50`
pub(super) fn minute(at: WallMs) -> String {
    let local = local_rfc3339(at);
    local.get(..16).unwrap_or(&local).replace('T', " ")
}

/// A number of seats, or that there is no end of them.
pub(super) fn seats(seats: Option<u32>) -> String {
    seats.map_or_else(|| "unlimited".to_owned(), |it| it.to_string())
}

/// A mark for what is not meant for work.
pub(super) fn environment(environment: Environment) -> Markup {
    html! {
        @if environment == Environment::Test { " " span.tag { "test" } }
    }
}

/// Percent-encodes a value of a query.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            other => out.extend(["%", &HEXUPPER.encode(&[other])]),
        }
    }
    out
}
