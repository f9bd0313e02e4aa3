//! `lmstat` output that the parsers in use read: docs/existing-tools.md lists what they depend on.

use std::fmt::Write as _;

use jiff::{Timestamp, tz::TimeZone};
use usher_protocol::time::WallMs;

use super::{
    Feature, Site, UNLIMITED,
    names::{token, word},
};

/// What to tell, beside the servers' state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<'a> {
    /// Nothing more.
    Server,
    /// Every feature with its users.
    All,
    /// Features of which something is out.
    Active,
    /// One feature.
    Feature(&'a str),
    /// The features of one vendor.
    Vendor(&'a str),
    /// The features of the licenses, one or all, with their ends, and no users.
    Info(Option<&'a str>),
}

/// The text; moments are told in `zone`.
pub fn text(site: &Site, part: &Part<'_>, zone: &TimeZone) -> String {
    let mut text = server(site);
    if let Part::Info(feature) = part {
        info(&mut text, site, *feature);
        return text;
    }
    vendors(&mut text, site, part);
    if *part == Part::Server {
        return text;
    }
    text += "Feature usage info:\n\n";
    for feature in site.features.iter().filter(|it| part.wants(it)) {
        usage(&mut text, site, feature, zone);
    }
    text
}

/// What is told when nobody answers: every parser takes it for an outage.
pub fn outage(host: &str, port: u16) -> String {
    let host = super::names::host(host);
    format!(
        "License server status: {port}@{host}\n\n{host}: lmgrd is not running: Cannot connect to license server system. (-15,570:111 \"Connection refused\")\n"
    )
}

impl Part<'_> {
    fn wants(&self, feature: &Feature) -> bool {
        match self {
            Self::Server | Self::Info(_) => false,
            Self::All => true,
            Self::Active => feature.used > 0,
            Self::Feature(name) => {
                feature.name == *name
                    || feature.path == *name
                    || feature.path.rsplit('/').next() == Some(name)
            }
            Self::Vendor(vendor) => feature.vendor == word(vendor),
        }
    }
}

/// Nothing else may stand before the features: a word too many reads as an outage.
fn server(site: &Site) -> String {
    let Site {
        host,
        port,
        version,
        ..
    } = site;
    format!(
        "License server status: {port}@{host}\n\n{host}: license server UP (MASTER) v{version}\n\n"
    )
}

fn vendors(text: &mut String, site: &Site, part: &Part<'_>) {
    let mut vendors: Vec<&str> = site.features.iter().map(|it| it.vendor.as_str()).collect();
    vendors.dedup();
    if let Part::Vendor(wanted) = part {
        let wanted = word(wanted);
        vendors.retain(|vendor| *vendor == wanted);
    }
    let state = if site.granting { "UP" } else { "DOWN" };
    let _ = writeln!(text, "Vendor daemon status (on {}):\n", site.host);
    for vendor in vendors {
        let _ = writeln!(text, "  {vendor}: {state} v{}", site.version);
    }
}

fn usage(text: &mut String, site: &Site, feature: &Feature, zone: &TimeZone) {
    let Feature {
        name,
        vendor,
        version,
        used,
        ..
    } = feature;
    let issued = feature.seats.unwrap_or(UNLIMITED);
    let _ = writeln!(
        text,
        "Users of {name}:  (Total of {issued} licenses issued;  Total of {used} licenses in use)\n"
    );
    if feature.leases.is_empty() {
        return;
    }
    let expiry = date(feature.expires);
    let _ = writeln!(
        text,
        "  \"{name}\" v{version}, vendor: {vendor}, expiry: {expiry}\n  floating license\n"
    );
    for lease in &feature.leases {
        let seats = match lease.seats {
            1 => String::new(),
            seats => format!(", {seats} licenses"),
        };
        let _ = writeln!(
            text,
            "    {} {} {} (v{version}) ({}/{} {}), start {}{seats}",
            token(&lease.user),
            token(&lease.host),
            lease
                .display
                .as_deref()
                .map_or("/dev/tty".to_owned(), token),
            site.host,
            site.port,
            lease.id.commit.0,
            start(lease.since, zone),
        );
    }
    text.push('\n');
}

fn info(text: &mut String, site: &Site, wanted: Option<&str>) {
    let columns = ["Feature", "Version", "#licenses", "Vendor", "Expires"];
    let lines = ["_______", "_______", "_________", "______", "_______"];
    for [name, version, seats, vendor, expires] in [columns, lines] {
        row(text, name, version, seats, vendor, expires);
    }
    for it in site.meant(wanted) {
        let seats = it.seats.unwrap_or(UNLIMITED).to_string();
        let expires = date(it.expires);
        row(text, &it.name, &it.version, &seats, &it.vendor, &expires);
    }
}

fn row(text: &mut String, name: &str, version: &str, seats: &str, vendor: &str, expires: &str) {
    let _ = writeln!(
        text,
        "{name:<31} {version:<11} {seats:<12} {vendor:<12} {expires}"
    );
}

/// `Fri 10/23 9:12`.
fn start(at: WallMs, zone: &TimeZone) -> String {
    moment(at).map_or_else(String::new, |at| {
        let at = at.to_zoned(zone.clone());
        at.strftime("%a %-m/%-d %-H:%M").to_string()
    })
}

/// `31-dec-2027`: the last day; a license's day ends at 24:00 UTC (T7).
fn date(end: Option<WallMs>) -> String {
    let last = end.and_then(|end| moment(WallMs(end.0.saturating_sub(1))));
    last.map_or_else(
        || "permanent(no expiration date)".to_owned(),
        |last| {
            let day = last.to_zoned(TimeZone::UTC).strftime("%-d-%b-%Y");
            day.to_string().to_ascii_lowercase()
        },
    )
}

fn moment(at: WallMs) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(at.0).ok()?).ok()
}
