//! `usher doctor`: can this user on this machine get seats, which source names a server, and what is the next step where
//! none does? It takes no seat and changes nothing but the client key, which is made at first use.

use super::{
    context::Context,
    failure::Failure,
    output, progress,
    survey::{self, Seen, Sighting},
};
use std::process::ExitCode;
use usher_client::{
    config::Config,
    connection::ConnectError,
    discover::{self, NotFound, Origin},
    doctor::{self, Check, CheckUp},
    keyfile::ClientIdentity,
    protocol::ids::PublicKey,
    trust::Trust,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Fail on warnings, too
    #[arg(long)]
    strict: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn doctor(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let mut checks = vec![
        Check::ok("version", format!("usher {}", env!("CARGO_PKG_VERSION"))),
        doctor::clock(),
        doctor::interfaces(),
        client_key(context),
        configuration(context),
    ];
    match context.trust() {
        Ok(trust) => {
            checks.push(trusted(&trust));
            let seen = survey::survey(context, trust.roots());
            match progress::waiting(context, "asking the network", seen).await {
                Ok(seen) => checks.extend(servers(&seen)),
                Err(failure) => checks.push(unasked(&failure)),
            }
        }
        Err(failure) => checks.push(Check::fail(
            "trust",
            failure.message(),
            "mend or remove that file; `usher trust list` shows the others",
        )),
    }
    let check_up = CheckUp::of(checks);
    if args.json {
        output::json(&check_up)?;
    } else {
        output::text(&check_up.to_string())?;
    }
    Ok(if check_up.passes(args.strict) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn client_key(context: &Context) -> Check {
    match ClientIdentity::load_or_create(&context.paths) {
        Ok(key) => {
            let fingerprint = PublicKey::from(&key).fingerprint();
            Check::ok("client-key", format!("{fingerprint}, this user's alone"))
        }
        Err(error) => Check::fail(
            "client-key",
            error.to_string(),
            "do what is said there: without a key no server is asked",
        ),
    }
}

fn configuration(context: &Context) -> Check {
    match Config::load(&context.paths) {
        Ok(_) => Check::ok("configuration", "readable"),
        Err(error) => Check::fail("configuration", error.to_string(), "mend that line"),
    }
}

fn trusted(trust: &Trust) -> Check {
    let vendors: Vec<&str> = trust.roots().iter().map(|it| it.vendor.as_str()).collect();
    if vendors.is_empty() {
        let next = "usher trust add VENDOR.pub, with the key file of your software's vendor";
        return Check::fail("trust", "no vendor is trusted here", next);
    }
    Check::ok("trust", format!("trusted: {}", vendors.join(", ")))
}

fn unasked(failure: &Failure) -> Check {
    let next = "check the address in --server, USHER_SERVER, or usher.toml";
    Check::fail("server", failure.message(), next)
}

/// Which source answered and which did not, each apart.
fn servers(seen: &Seen) -> Vec<Check> {
    let mut checks: Vec<Check> = seen.sightings.iter().map(sighted).collect();
    checks.extend(seen.missed.failures.iter().map(missed));
    checks.extend(asked_dns(&seen.missed));
    checks.extend(asked_network(&seen.missed));
    if seen.sightings.iter().all(|it| it.proven.is_empty()) {
        let finding = "none was found that proves itself for a trusted vendor";
        checks.push(Check::fail("server", finding, seen.missed.next_step()));
    }
    checks
}

fn sighted(sighting: &Sighting) -> Check {
    let (address, origin) = (sighting.address, sighting.candidate.origin);
    let vendors: Vec<_> = sighting
        .proven
        .iter()
        .map(|it| it.trusted.vendor.to_string())
        .collect();
    if let Some(proven) = sighting.proven.first() {
        let name = &proven.connection.server().name;
        let vendors = vendors.join(", ");
        return Check::ok(
            "server",
            format!("{name} at {address}, found by {origin}, serves {vendors}"),
        );
    }
    let why = match sighting.denied.first() {
        Some((trusted, error)) => format!("does not prove itself for {}: {error}", trusted.vendor),
        None => "serves no vendor that is trusted here".to_owned(),
    };
    let name = &sighting.candidate.name;
    Check::warn(
        "server",
        format!("{name} at {address}, found by {origin}, {why}"),
        "usher find shows its vendors; trust one with `usher trust add VENDOR.pub`",
    )
}

fn missed(failure: &discover::Failure<ConnectError>) -> Check {
    let next = match failure.origin {
        Origin::Explicit | Origin::Environment | Origin::Configuration => {
            "check the address, that `usherd doctor` is content there, and that UDP port 27443 is open to it"
        }
        Origin::LastGood => "nothing, if that server has moved: others are looked for",
        Origin::Dns => {
            "ask who keeps the domain whether its SRV record is right, and the server's admin for `usherd doctor`"
        }
        Origin::Mdns => "ask its admin for `usherd doctor`, or name the server: USHER_SERVER=HOST",
    };
    Check::warn("server", failure.to_string(), next)
}

/// Nothing is said of the DNS where somebody named the server.
fn asked_dns(missed: &NotFound<ConnectError>) -> Option<Check> {
    let Some(report) = &missed.dns else {
        missed.mdns.as_ref()?;
        let finding = "not asked: no domain is named; where multicast does not reach: domain = \"example.com\" in usher.toml";
        return Some(Check::ok("dns-sd", finding));
    };
    Some(match report.next_step() {
        None => Check::ok("dns-sd", report.to_string()),
        Some(next) => Check::warn("dns-sd", report.to_string(), next),
    })
}

/// Nothing is said of a network that was not asked: somebody named the server.
fn asked_network(missed: &NotFound<ConnectError>) -> Option<Check> {
    let report = missed.mdns.as_ref()?;
    let finding = format!("local network: {report}");
    Some(if report.servers > 0 {
        Check::ok("mdns", finding)
    } else {
        let next = "no multicast reaches a server (VPN, routed network, firewall)? USHER_SERVER=HOST, or server = \"HOST\" in usher.toml";
        Check::warn("mdns", finding, next)
    })
}
