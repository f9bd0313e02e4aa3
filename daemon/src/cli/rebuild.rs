//! `usherd restore` and `usherd repair`: a store to go on with, and what is held meanwhile (S3, S6, L12).
//!
//! They run while no daemon does, say what they will do, ask, and keep what they replace. Must not decide
//! what the new store is made of: the journal does.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use usher_client::clock::Clock;
use usher_engine::{
    hold_length, longest_lease,
    record::{Record, What},
};
use usher_protocol::{documents::license::VerifiedLicense, ids::PublicKey, time::DurationMs};

use super::{Failure, license::asked, print};
use crate::{
    admin::client::{AdminClient, AdminError},
    config::{Config, Overrides, Places},
    journal::{
        self, Format, JournalError, Live, RestoreSource, SledOptions, Write,
        backup::{self, SnapshotHeader},
    },
    records,
    usage::Entry,
};

/// From which backup.
#[derive(Debug, clap::Args)]
pub(super) struct RestoreArgs {
    /// The file that `usherd backup` made
    source: PathBuf,
    /// Do it without being asked
    #[arg(long)]
    yes: bool,
}

/// With what.
#[derive(Debug, clap::Args)]
pub(super) struct RepairArgs {
    /// A backup to go on from, where the store itself cannot be read
    #[arg(long, value_name = "FILE")]
    backup: Option<PathBuf>,
    /// Do it without being asked
    #[arg(long)]
    yes: bool,
}

/// Puts the state back to a backup.
pub(super) fn restore(args: &RestoreArgs, places: &Places) -> Result<(), Failure> {
    let config = stopped(places)?;
    let (header, licenses) = read_backup(&args.source)?;
    let hold = Hold::of(&licenses);
    let mut plan = format!(
        "This puts the live state in {} back to {} (commit {}, {}).\n\
         What the usage log has had since entry {} is played on top. If that log is proved to be complete, \
         nothing is held; otherwise, after the next start, {hold}.\n",
        config.state_dir.display(),
        args.source.display(),
        header.head,
        names(&licenses),
        header.log.number,
    );
    plan += &site_warning(&config, &licenses);
    agree(&plan, args.yes)?;
    let (rebuilt, since) = with_replay(|replay| {
        journal::restore(
            &config.state_dir,
            &args.source,
            Clock::new().now().wall.unix_seconds(),
            Some(replay),
            &SledOptions::default(),
        )
    })?;
    let hold = hold.or_longer(&Hold::of(&since.licenses));
    print::text(&done(&rebuilt, &since, hold))
}

/// Makes a store that a daemon can start on.
pub(super) fn repair(args: &RepairArgs, places: &Places) -> Result<(), Failure> {
    let config = stopped(places)?;
    let state = config.state_dir.display();
    let (licenses, out_of) = survey(&config, args.backup.as_deref())?;
    let hold = Hold::of(&licenses);
    let mut plan = format!("This makes a new live state in {state}, out of {out_of}\n");
    plan.extend([format!("After the next start, {hold}.\n")]);
    plan += &site_warning(&config, &licenses);
    agree(&plan, args.yes)?;
    let (rebuilt, since) = with_replay(|replay| {
        journal::repair(
            &config.state_dir,
            args.backup.as_deref(),
            Clock::new().now().wall.unix_seconds(),
            Some(replay),
            &SledOptions::default(),
        )
    })?;
    let hold = hold.or_longer(&Hold::of(&since.licenses));
    print::text(&done(&rebuilt, &since, hold))
}

/// What a repair will go on from: its licenses, and its name.
fn survey(
    config: &Config,
    backup: Option<&Path>,
) -> Result<(Vec<Arc<VerifiedLicense>>, String), Failure> {
    let error = match journal::stopped_records(&config.state_dir, &Format::current()) {
        Ok(found) => {
            let mut licenses = licenses_in(&found)?;
            let Some(backup) = backup else {
                let out_of = "the store itself, which can be read.".to_owned();
                return Ok((licenses, out_of));
            };
            licenses.extend(read_backup(backup)?.1);
            let backup = backup.display();
            let out_of =
                format!("the store itself, which can be read, or {backup} if that is newer.");
            return Ok((licenses, out_of));
        }
        Err(error @ (JournalError::Fenced { .. } | JournalError::Io { .. })) => {
            return Err(Failure::new(error.to_string()));
        }
        Err(error) => error,
    };
    let base = journal::retired_base(&config.state_dir, &Format::current());
    let Some(backup) = backup else {
        let base = base.map_err(|error| Failure::new(error.to_string()))?;
        if let Some((header, found)) = base {
            let out_of = format!(
                "the usage log: its base, which reaches entry {}, and what it has since.",
                header.log.number
            );
            return Ok((
                licenses_in(&found)?,
                format!("{out_of}\nThe store: {error}"),
            ));
        }
        let out_of = "the usage log alone; licenses that it does not hold are then added again. With a backup, give --backup FILE.";
        return Ok((Vec::new(), format!("{out_of}\nThe store: {error}")));
    };
    let out_of = format!("{} and the usage log since.", backup.display());
    Ok((
        read_backup(backup)?.1,
        format!("{out_of}\nThe store: {error}"),
    ))
}

/// The journal's own lock decides in the end; this only says it better.
fn stopped(places: &Places) -> Result<Config, Failure> {
    let config = Config::load(&Overrides::of_places(places))?;
    match AdminClient::connect(&config.admin_socket) {
        Err(error) if error.is_not_running() => Ok(config),
        Err(error @ AdminError::Unreachable { .. }) => Err(error.into()),
        _ => Err(Failure::new(
            "usherd is running; stop it first (systemctl stop usherd), then try again",
        )),
    }
}

/// What no seat is granted for, in words.
#[derive(Debug, Clone, Copy)]
struct Hold {
    length_ms: Option<DurationMs>,
    /// Once the newest licenses are added again.
    once_added_again: Option<DurationMs>,
    borrow_ms: DurationMs,
}

impl Hold {
    fn of(licenses: &[Arc<VerifiedLicense>]) -> Self {
        let features = licenses.iter().flat_map(|license| &license.features);
        let borrows = features.map(|feature| feature.borrow_ms_max);
        Self {
            length_ms: hold_length(licenses.iter().map(AsRef::as_ref), |_| None),
            once_added_again: hold_length(licenses.iter().map(AsRef::as_ref), longest_lease),
            borrow_ms: borrows.max().unwrap_or_default(),
        }
    }

    /// What holds where the licenses of both are installed.
    fn or_longer(self, other: &Self) -> Self {
        Self {
            length_ms: self.length_ms.max(other.length_ms),
            once_added_again: self.once_added_again.max(other.once_added_again),
            borrow_ms: self.borrow_ms.max(other.borrow_ms),
        }
    }
}

impl std::fmt::Display for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.length_ms {
            Some(length) => write!(f, "no seat is granted for {length}")?,
            None => f.write_str(
                "no seat is granted until a license is installed and its longest lease is over",
            )?,
        }
        f.write_str(", as leases that this state does not know may still be out; those it knows are renewed meanwhile")?;
        if let Some(less) = self
            .once_added_again
            .filter(|less| Some(*less) < self.length_ms)
        {
            write!(
                f,
                ". It is {less}, if their leases are no longer, once the newest licenses are added again after the start (`usherd license add`): what they say, this state cannot know"
            )?;
        }
        match self.borrow_ms {
            DurationMs::ZERO => Ok(()),
            longest => write!(
                f,
                "; seats that can be borrowed stay home for up to {longest}, as unknown borrows may be out"
            ),
        }
    }
}

fn read_backup(source: &Path) -> Result<(SnapshotHeader, Vec<Arc<VerifiedLicense>>), Failure> {
    let mut found = Vec::new();
    let info = backup::read_snapshot(source, |record| {
        found.push(record);
        Ok(())
    })
    .map_err(|error| Failure::new(error.to_string()))?;
    Ok((info.header, licenses_in(&found)?))
}

fn licenses_in(found: &[(Vec<u8>, Vec<u8>)]) -> Result<Vec<Arc<VerifiedLicense>>, Failure> {
    let mut licenses = Vec::new();
    for (key, value) in found {
        match records::read(key, value) {
            Ok(Record::PutLicense(license)) => licenses.push(license),
            Ok(_) => {}
            Err(error) => {
                return Err(Failure::new(format!(
                    "{error}; choose another backup, or repair without one"
                )));
            }
        }
    }
    Ok(licenses)
}

fn names(licenses: &[Arc<VerifiedLicense>]) -> String {
    if licenses.is_empty() {
        return "no license".to_owned();
    }
    let names = licenses
        .iter()
        .map(|license| format!("{} serial {}", license.id, license.serial));
    names.collect::<Vec<_>>().join(", ")
}

/// A state without its site key is of no use: every license in it names the key.
fn site_warning(config: &Config, licenses: &[Arc<VerifiedLicense>]) -> String {
    let path = config.state_dir.join("site.key");
    let Ok(key) = usher_client::keyfile::load(&path) else {
        return format!(
            "Note: no site key can be read from {}; put the old one there first, unless it comes as a credential.\n",
            path.display()
        );
    };
    let site = PublicKey::from(&key);
    match licenses.iter().find(|license| license.site != site) {
        Some(license) => format!(
            "Note: license {} is for another site key than {}; put the old key there first.\n",
            license.id,
            path.display()
        ),
        None => String::new(),
    }
}

fn agree(plan: &str, yes: bool) -> Result<(), Failure> {
    eprintln!("{plan}What is replaced is kept beside it.");
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::usage("nothing was changed; say --yes to do it"));
    }
    if asked("Go on?") {
        return Ok(());
    }
    Err(Failure::new("nothing was changed"))
}

/// What the replayed part of the log has that an administrator should know.
#[derive(Debug, Default)]
struct Since {
    lines: Vec<String>,
    /// Licenses that came back with it.
    licenses: Vec<Arc<VerifiedLicense>>,
}

fn with_replay(
    work: impl FnOnce(journal::Replay<'_>) -> Result<journal::Rebuilt, JournalError>,
) -> Result<(journal::Rebuilt, Since), Failure> {
    let mut since = Since::default();
    let mut log = records::Replay::default();
    let mut missing = BTreeMap::new();
    let mut troubled = false;
    let mut replay = |entry: &Entry, live: &Live| -> Result<Vec<Write>, String> {
        let event = records::read_event(&entry.body).map_err(|error| error.to_string())?;
        match &event.what {
            // Until its text has come, which the log of an older usherd does not have.
            What::LicenseInstalled(id, serial) => {
                missing.insert(id.clone(), *serial);
            }
            What::LicenseRemoved(id, serial) => {
                missing.remove(id);
                let line = format!("license {id} serial {serial} was removed");
                since.lines.push(line);
            }
            What::Trouble(word) if !troubled => {
                troubled = true;
                since.lines.push(format!(
                    "granting was stopped ({word}): seats are held anew"
                ));
            }
            _ => {}
        }
        let played = log.play(&event, live)?;
        if let Some(license) = played.license {
            missing.remove(&license.id);
            let (id, serial) = (&license.id, license.serial);
            let line = format!("license {id} serial {serial} was installed, and is again");
            since.lines.push(line);
            since.licenses.push(license);
        }
        Ok(played.writes)
    };
    let rebuilt = work(&mut replay).map_err(|error| Failure::new(error.to_string()))?;
    since.lines.extend(
        missing.iter().map(|(id, serial)| {
            format!("license {id} serial {serial} was installed: add it again")
        }),
    );
    Ok((rebuilt, since))
}

fn done(rebuilt: &journal::Rebuilt, since: &Since, hold: Hold) -> String {
    let source = match rebuilt.restored.source {
        RestoreSource::Snapshot => "",
        RestoreSource::UsageLog => ", out of the usage log",
        RestoreSource::Nothing => ", empty",
    };
    let mut text = format!(
        "✓ a new live state of {}{source}, commit {}; start usherd now\n",
        print::counted(rebuilt.records, "record"),
        rebuilt.head
    );
    for finding in &rebuilt.findings {
        text.extend([format!("  found: {finding}\n")]);
    }
    for line in &since.lines {
        text.extend([format!("  since then, {line}\n")]);
    }
    for kept in [&rebuilt.replaced_store, &rebuilt.replaced_log]
        .into_iter()
        .flatten()
    {
        text.extend([format!("  kept: {}\n", kept.display())]);
    }
    if rebuilt.restored.complete {
        text += "  nothing was lost: what the usage log had since was played on top\n";
    } else {
        text.extend([format!("  after the start, {hold}\n")]);
    }
    text
}
