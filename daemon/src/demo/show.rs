//! The show: what an administrator and an engineer do, one step a line, each for real.

use std::{io::Write as _, path::Path, thread, time::Duration};

use usher_client::{
    blocking,
    client::Client,
    paths::{MachineId, Paths},
};

use super::{DemoError, Wishes, site::Stage};
use crate::admin::{
    client::AdminClient,
    protocol::{Answer, Ask, StatusReport},
};

/// Plays every step; the first that fails ends it.
pub(super) fn show(
    place: &Path,
    socket: &Path,
    stage: &Stage,
    wishes: Wishes,
) -> Result<(), DemoError> {
    say("signed", &stage.about);
    let mut admin = started(socket)?;
    let address = status(&mut admin)?.listen.into_iter().next();
    let address = address.ok_or_else(|| failed("starting", "it listens nowhere"))?;
    say(
        "started",
        &format!(
            "usherd on {address}, its store on sled in {}",
            place.display()
        ),
    );
    install(&mut admin, stage)?;
    say("installed", "the license, live at once");
    lend(&mut admin, place, stage, &address)?;
    if !wishes.once {
        invite(place, &address);
    }
    Ok(())
}

fn started(socket: &Path) -> Result<AdminClient, DemoError> {
    for _ in 0..START_TRIES {
        if let Ok(admin) = AdminClient::connect(socket) {
            return Ok(admin);
        }
        thread::sleep(START_PAUSE);
    }
    Err(failed(
        "starting",
        "the daemon does not answer on its admin socket",
    ))
}

fn status(admin: &mut AdminClient) -> Result<StatusReport, DemoError> {
    match ask(admin, "asking for its status", Ask::Status)? {
        Answer::Status(status) => Ok(*status),
        other => Err(failed("asking for its status", format!("{other:?}"))),
    }
}

fn install(admin: &mut AdminClient, stage: &Stage) -> Result<(), DemoError> {
    let add = Ask::LicenseAdd {
        text: stage.license.clone(),
        root: Some(stage.root.fingerprint()),
    };
    match ask(admin, "installing the license", add)? {
        Answer::Installed(_) => Ok(()),
        other => Err(failed("installing the license", format!("{other:?}"))),
    }
}

fn lend(
    admin: &mut AdminClient,
    place: &Path,
    stage: &Stage,
    address: &str,
) -> Result<(), DemoError> {
    let client = connect(place, stage, address)?;
    let root = stage.root.fingerprint().short();
    say(
        "proved",
        &format!("the server showed a license of vendor root {root}… for its own key"),
    );
    let seat = client.checkout("solver").send();
    let seat = seat.map_err(|error| failed("the checkout", error))?;
    let lease = seat.as_async();
    let (out, total) = lease.pool();
    let (length, rhythm) = lease.rhythm();
    let total = total.map_or("unlimited".to_owned(), |total| total.to_string());
    let id = lease.id().map_or_else(String::new, |id| id.to_string());
    expect_out(admin, 1, "the checkout")?;
    say(
        "lent",
        &format!("seat {out} of {total}: lease {id}, {length} long, renewed every {rhythm}"),
    );
    seat.release()
        .map_err(|error| failed("the release", error))?;
    expect_out(admin, 0, "the release")?;
    say("returned", "the seat is free again");
    Ok(())
}

/// The daemon's own word that so many seats are out.
fn expect_out(admin: &mut AdminClient, seats: u32, step: &'static str) -> Result<(), DemoError> {
    let out = status(admin)?.pools.first().map(|pool| pool.out);
    if out == Some(seats) {
        Ok(())
    } else {
        Err(failed(
            step,
            format!("{seats} seats should be out, the daemon says {out:?}"),
        ))
    }
}

fn connect(place: &Path, stage: &Stage, address: &str) -> Result<blocking::Client, DemoError> {
    let home = place.join("client").into_os_string();
    let of_home = |name: &str| (name == "HOME").then(|| home.clone());
    let paths = Paths::from_variables(of_home, MachineId::of_this_machine())
        .map_err(|error| failed("finding a place for the client's key", error))?;
    let builder = Client::builder(&stage.vendor_key)
        .map_err(|error| failed("reading the vendor key", error))?
        .server(address)
        .test_licenses()
        .ignore_surroundings()
        .paths(paths);
    blocking::Client::build(builder).map_err(|error| failed("proving the server", error))
}

fn invite(place: &Path, address: &str) {
    let usher = own_command("usher");
    let usherd = own_command("usherd");
    let surroundings = format!(
        "USHER_TRUST_DIR={} USHER_SERVER={address} USHER_TEST=1",
        place.join("trust").display()
    );
    let socket = place.join("admin.sock");
    print(&format!(
        "\nIn a second terminal, in this directory, take a seat while a command runs:\n\n  \
         {surroundings} {usher} run demo/solver -- sleep 20\n\n\
         and in a third one, see who holds it:\n\n  \
         {usherd} --admin-socket {} leases\n\n\
         Ctrl-C ends the demonstration and removes its files.",
        socket.display()
    ));
}

/// The command as this one was started: through cargo, or installed.
fn own_command(name: &str) -> String {
    if std::env::var_os("CARGO").is_none() {
        return name.to_owned();
    }
    let release = if cfg!(debug_assertions) {
        ""
    } else {
        "--release "
    };
    format!("cargo run {release}--quiet --bin {name} --")
}

fn ask(admin: &mut AdminClient, step: &'static str, ask: Ask) -> Result<Answer, DemoError> {
    admin.ask(ask).map_err(|error| failed(step, error))
}

fn failed(step: &'static str, why: impl std::fmt::Display) -> DemoError {
    let why = why.to_string();
    DemoError::Step { step, why }
}

fn say(what: &str, text: &str) {
    print(&format!("{what:>10}  {text}"));
}

/// A closed pipe is not worth a word.
fn print(text: &str) {
    drop(writeln!(std::io::stdout(), "{text}"));
}

const START_TRIES: u32 = 200;
const START_PAUSE: Duration = Duration::from_millis(50);
