//! `usherd license`: add, list, remove. The daemon judges; this asks the administrator about a new vendor (T3).

use std::{
    fs::File,
    io::{self, BufRead as _, IsTerminal as _, Read, Write as _},
    path::PathBuf,
};

use usher_client::clock::{Clock, WallMs};
use usher_protocol::{ids::Fingerprint, limits::LICENSE_BYTES_MAX, names::LicenseId};

use super::{
    Failure, admin,
    print::{self, Column, Table, counted, environment, plain, seats, until},
};
use crate::{
    admin::protocol::{Answer, Ask, FeatureReport, LicenseReport},
    config::Places,
};

/// What to do with licenses.
#[derive(Debug, clap::Subcommand)]
pub(super) enum LicenseVerb {
    /// Install a license, or replace it by a higher serial; it is live at once
    Add(AddArgs),
    /// Show what is installed
    List(ListArgs),
    /// Remove a license; its leases run on, their renewals are refused
    Remove(RemoveArgs),
}

/// Which file, and whom to trust.
#[derive(Debug, clap::Args)]
pub(super) struct AddArgs {
    /// The license file, or `-` for standard input
    file: PathBuf,
    /// Trust a vendor that is new here without being asked
    #[arg(long, conflicts_with = "trust")]
    yes: bool,
    /// Trust a vendor that is new here only if its root has this fingerprint
    #[arg(long, value_name = "FINGERPRINT")]
    trust: Option<Fingerprint>,
}

/// How to print it.
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Which one.
#[derive(Debug, clap::Args)]
pub(super) struct RemoveArgs {
    /// Its id, as `usherd license list` shows it
    id: LicenseId,
}

/// Does it.
pub(super) fn run(verb: LicenseVerb, places: &Places) -> Result<(), Failure> {
    match verb {
        LicenseVerb::Add(args) => add(&args, places),
        LicenseVerb::List(args) => list(&args, places),
        LicenseVerb::Remove(args) => remove(args, places),
    }
}

fn add(args: &AddArgs, places: &Places) -> Result<(), Failure> {
    let text = read(args)?;
    let mut daemon = admin(places)?;
    let ask = |root| Ask::LicenseAdd {
        text: text.clone(),
        root,
    };
    let mut answer = daemon.ask(ask(args.trust))?;
    if let Answer::ConfirmRoot { vendor, root } = answer {
        confirm(args, &vendor, root)?;
        answer = daemon.ask(ask(Some(root)))?;
    }
    match answer {
        Answer::Installed(license) => print::text(&installed(&license, Clock::new().now().wall)),
        other => Err(Failure::of_answer(other)),
    }
}

fn read(args: &AddArgs) -> Result<String, Failure> {
    let name = args.file.display();
    let limit = LICENSE_BYTES_MAX as u64 + 1;
    let mut bytes = Vec::new();
    let read = if args.file.as_os_str() == "-" {
        io::stdin().take(limit).read_to_end(&mut bytes)
    } else {
        File::open(&args.file).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|error| {
        Failure::new(format!(
            "cannot read {name}: {error}; check the path, then try again"
        ))
    })?;
    if bytes.len() > LICENSE_BYTES_MAX {
        return Err(Failure::new(format!(
            "{name} is no license: longer than {LICENSE_BYTES_MAX} bytes; choose the file that the vendor sent"
        )));
    }
    String::from_utf8(bytes).map_err(|_| {
        Failure::new(format!(
            "{name} is no license: not UTF-8 text; ask the vendor to send the file anew, as an attachment"
        ))
    })
}

/// T3: the first license of a vendor pins its root.
fn confirm(args: &AddArgs, vendor: &str, root: Fingerprint) -> Result<(), Failure> {
    let vendor = plain(vendor);
    if let Some(trusted) = args.trust {
        return Err(Failure::refused(format!(
            "the license of `{vendor}` has the root fingerprint\n  {root}\nand not\n  {trusted}\nask the vendor which is theirs"
        )));
    }
    if args.yes {
        return Ok(());
    }
    let is_new =
        format!("this is the first license of `{vendor}` here; its root fingerprint is\n  {root}");
    if args.file.as_os_str() == "-" || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::usage(format!(
            "{is_new}\ncompare it with what the vendor published, then add the license with --trust {root}"
        )));
    }
    eprintln!("{is_new}\nCompare it with what the vendor published.");
    if asked("Trust this vendor?") {
        return Ok(());
    }
    Err(Failure::new("not installed: the vendor is not trusted"))
}

/// A person's yes at the terminal.
pub(super) fn asked(question: &str) -> bool {
    eprint!("{question} [y/N] ");
    drop(io::stderr().flush());
    let mut answer = String::new();
    match io::stdin().lock().read_line(&mut answer) {
        Ok(_) => matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"),
        Err(_) => false,
    }
}

fn installed(license: &LicenseReport, now: WallMs) -> String {
    let mut text = format!(
        "✓ {}: serial {} of {} is live, for {}\n",
        license.id,
        license.serial,
        plain(&license.vendor),
        plain(&license.customer)
    );
    for feature in &license.features {
        let seats = match feature.seats {
            Some(count) => counted(count, "seat"),
            None => "unlimited seats".to_owned(),
        };
        let end = match feature.expires {
            Some(end) if end <= now => format!("expired at the end of {}", until(feature.expires)),
            Some(_) => format!("until {}", until(feature.expires)),
            None => "for ever".to_owned(),
        };
        text.extend([format!(
            "  {}/{}: {seats}, {end}\n",
            plain(&license.vendor),
            feature.feature
        )]);
    }
    if let Some(reason) = &license.idle_because {
        text.extend([format!(
            "  but nothing is lent from it: {}\n",
            plain(reason)
        )]);
    }
    text
}

fn list(args: &ListArgs, places: &Places) -> Result<(), Failure> {
    let licenses = match admin(places)?.ask(Ask::Licenses)? {
        Answer::Licenses(licenses) => licenses,
        other => return Err(Failure::of_answer(other)),
    };
    if args.json {
        return print::json(&licenses);
    }
    if licenses.is_empty() {
        return print::text("no license: usherd request\n");
    }
    print::text(&listed(&licenses, Clock::new().now().wall))
}

fn listed(licenses: &[LicenseReport], now: WallMs) -> String {
    let columns = [
        Column::Left("LICENSE"),
        Column::Right("SERIAL"),
        Column::Left("FEATURE"),
        Column::Right("SEATS"),
        Column::Left("VERSION"),
        Column::Left("EXPIRES"),
        Column::Left("FOR"),
        Column::Left("NOTE"),
    ];
    let rows: Vec<_> = licenses
        .iter()
        .flat_map(|license| {
            license
                .features
                .iter()
                .map(|feature| row(license, feature, now))
        })
        .collect();
    let mut text = Table::of(columns, &rows);
    let mut roots: Vec<_> = licenses.iter().map(|it| (&it.vendor, it.root)).collect();
    roots.sort_unstable();
    roots.dedup();
    text.push('\n');
    for (vendor, root) in roots {
        text.extend([format!("{}: root {root}\n", plain(vendor))]);
    }
    text
}

fn row(license: &LicenseReport, feature: &FeatureReport, now: WallMs) -> [String; 8] {
    let note = match &license.idle_because {
        Some(reason) => format!("lends nothing: {}", plain(reason)),
        None if feature.expires.is_some_and(|end| end <= now) => "EXPIRED".to_owned(),
        None => String::new(),
    };
    [
        license.id.to_string(),
        license.serial.to_string(),
        format!("{}/{}", plain(&license.vendor), feature.feature),
        seats(feature.seats),
        feature.version.clone().unwrap_or_else(|| "any".to_owned()),
        until(feature.expires),
        format!(
            "{}, {}",
            plain(&license.customer),
            environment(license.environment)
        ),
        note,
    ]
}

fn remove(args: RemoveArgs, places: &Places) -> Result<(), Failure> {
    let id = args.id.clone();
    match admin(places)?.ask(Ask::LicenseRemove { id: args.id })? {
        Answer::Done => print::text(&format!(
            "✓ {id}: removed; its leases run on until their next renewal, which is refused\n"
        )),
        other => Err(Failure::of_answer(other)),
    }
}
