//! `usherd leases` and `usherd evict`: who holds what, and taking it back (L7).

use usher_client::clock::local_rfc3339;
use usher_protocol::{
    ids::{Commit, LeaseId},
    time::DurationMs,
};

use super::{
    Failure, admin,
    print::{self, Column, Out, Table, counted, json_line, plain},
};
use crate::{
    admin::{
        client::AdminClient,
        protocol::{Answer, Ask, LeaseReport},
    },
    config::Places,
    limits::ADMIN_LEASES_PER_PAGE_MAX,
};

/// Which leases, and how to print them.
#[derive(Debug, clap::Args)]
pub(super) struct LeasesArgs {
    /// Only those of this feature: `vendor/feature`, or `feature` of any vendor
    #[arg(long, value_name = "FEATURE")]
    feature: Option<String>,
    /// Only those of this user
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Only those of this host
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Which lease to take back.
#[derive(Debug, clap::Args)]
pub(super) struct EvictArgs {
    /// Its id, as `usherd leases` shows it
    lease: LeaseId,
    /// Why: its holder reads it, and the usage log keeps it
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// How long its holder may not have the feature again: 30m, 2h [default: long enough for others]
    #[arg(long, value_name = "LENGTH")]
    cool_down: Option<DurationMs>,
}

/// Lists leases, however many there are.
pub(super) fn leases(args: &LeasesArgs, places: &Places) -> Result<(), Failure> {
    let mut pages = Pages::new(admin(places)?);
    let mut list = if args.json {
        List::json()
    } else {
        List::table()
    };
    while let Some(mut page) = pages.next()? {
        page.retain(|lease| args.wants(lease));
        list.add(&page)?;
    }
    list.end()
}

impl LeasesArgs {
    fn wants(&self, lease: &LeaseReport) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == found)
        };
        let feature = self.feature.as_deref().is_none_or(|wanted| {
            lease.feature == wanted
                || (!wanted.contains('/') && lease.feature.rsplit('/').next() == Some(wanted))
        });
        feature && is(&self.user, &lease.user) && is(&self.host, &lease.host)
    }
}

/// A page at a time: memory does not grow with the number of leases.
pub(super) struct Pages {
    daemon: AdminClient,
    after: Option<LeaseId>,
    ended: bool,
}

impl Pages {
    pub(super) fn new(daemon: AdminClient) -> Self {
        Self {
            daemon,
            after: None,
            ended: false,
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<Vec<LeaseReport>>, Failure> {
        if self.ended {
            return Ok(None);
        }
        let count_max = ADMIN_LEASES_PER_PAGE_MAX;
        let after = self.after;
        let page = match self.daemon.ask(Ask::Leases { after, count_max })? {
            Answer::Leases(page) => page,
            other => return Err(Failure::of_answer(other)),
        };
        // Another build may have smaller pages; only an empty one is surely the last.
        self.ended = page.is_empty();
        self.after = page.last().map(|lease| lease.id);
        Ok(Some(page))
    }
}

/// The list as it grows.
struct List {
    out: Out,
    /// None for JSON.
    table: Option<Table<8>>,
    is_empty: bool,
}

impl List {
    fn table() -> Self {
        Self {
            out: Out::new(),
            table: Some(Table::new(COLUMNS)),
            is_empty: true,
        }
    }

    fn json() -> Self {
        Self {
            table: None,
            ..Self::table()
        }
    }

    fn add(&mut self, page: &[LeaseReport]) -> Result<(), Failure> {
        if self.table.is_some() {
            self.add_rows(page)
        } else {
            self.add_json(page)
        }
    }

    fn add_rows(&mut self, page: &[LeaseReport]) -> Result<(), Failure> {
        let Some(table) = &mut self.table else {
            return Ok(());
        };
        let rows: Vec<_> = page.iter().map(row).collect();
        for row in &rows {
            table.measure(row);
        }
        if self.is_empty && !rows.is_empty() {
            self.out.line(&table.head())?;
            self.is_empty = false;
        }
        rows.iter()
            .try_for_each(|row| self.out.line(&table.line(row)))
    }

    fn add_json(&mut self, page: &[LeaseReport]) -> Result<(), Failure> {
        for lease in page {
            let before = if self.is_empty { "[\n" } else { ",\n" };
            self.out.text(before)?;
            self.out.text(&json_line(lease)?)?;
            self.is_empty = false;
        }
        Ok(())
    }

    fn end(mut self) -> Result<(), Failure> {
        match (self.table.is_some(), self.is_empty) {
            (true, true) => self.out.line("no leases")?,
            (true, false) => {}
            (false, true) => self.out.line("[]")?,
            (false, false) => self.out.line("\n]")?,
        }
        self.out.end()
    }
}

fn row(lease: &LeaseReport) -> [String; 8] {
    let display = lease.display.as_deref().map(plain).unwrap_or_default();
    let process = match lease.process {
        0 => String::new(),
        number => format!(" process {number}"),
    };
    [
        lease.id.to_string(),
        plain(&lease.feature),
        lease.seats.to_string(),
        plain(&lease.user),
        plain(&lease.host),
        format!("{display}{process}").trim().to_owned(),
        local_rfc3339(lease.since),
        note(lease),
    ]
}

fn note(lease: &LeaseReport) -> String {
    let mut words = match lease.borrowed_until {
        Some(until) => format!(
            "borrowed until {}, free in {}",
            local_rfc3339(until),
            lease.free_in_ms
        ),
        None if is_evicted(lease) => format!("free in {}", lease.free_in_ms),
        None => format!("free in {} unless renewed", lease.free_in_ms),
    };
    if lease.sharing > 1 {
        let others = (lease.sharing - 1).to_string();
        words.extend(["; shares its seats with ", &others, " more"]);
    }
    if let Some(note) = &lease.note {
        words.extend(["; ", &plain(note)]);
    }
    words
}

/// Such a lease is renewed no more (L7).
fn is_evicted(lease: &LeaseReport) -> bool {
    let note = lease.note.as_deref();
    note.is_some_and(|note| note.starts_with("evicted"))
}

const COLUMNS: [Column; 8] = [
    Column::Left("LEASE"),
    Column::Left("FEATURE"),
    Column::Right("SEATS"),
    Column::Left("USER"),
    Column::Left("HOST"),
    Column::Left("DISPLAY"),
    Column::Left("SINCE"),
    Column::Left("NOTE"),
];

/// Takes a lease back at its next renewal.
pub(super) fn evict(args: EvictArgs, places: &Places) -> Result<(), Failure> {
    let mut daemon = admin(places)?;
    let id = args.lease;
    let ask = Ask::Evict {
        lease: id,
        reason: args.reason,
        cool_down_ms: args.cool_down,
    };
    match daemon.ask(ask)? {
        Answer::Done => {}
        other => return Err(Failure::of_answer(other)),
    }
    let text = match find(&mut daemon, id)? {
        // A seat of a group comes back with the last of its leases, so all of them were evicted.
        Some(lease) if lease.sharing > 1 => format!(
            "✓ {id}: evicted with all {} leases that share its seats of {}; none of them is renewed, and the seats are free when the last is given back or over\n",
            lease.sharing,
            plain(&lease.feature)
        ),
        Some(lease) => format!(
            "✓ {id}: evicted; the next renewal of {} on {} is refused, {} of {} free in {} at the latest\n",
            plain(&lease.user),
            plain(&lease.host),
            counted(lease.seats, "seat"),
            plain(&lease.feature),
            lease.free_in_ms
        ),
        None => format!("✓ {id}: evicted, and over already\n"),
    };
    print::text(&text)
}

fn find(daemon: &mut AdminClient, id: LeaseId) -> Result<Option<LeaseReport>, Failure> {
    let before = LeaseId {
        commit: Commit(id.commit.0.saturating_sub(1)),
        ..id
    };
    let ask = Ask::Leases {
        after: Some(before),
        count_max: 1,
    };
    match daemon.ask(ask)? {
        Answer::Leases(page) => Ok(page.into_iter().find(|lease| lease.id == id)),
        other => Err(Failure::of_answer(other)),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        os::unix::net::UnixListener,
        thread,
    };

    use usher_protocol::time::WallMs;

    use super::*;
    use crate::admin::protocol::{ADMIN_VERSION, Question, Reply};
    use crate::testing::lease_report;

    #[test]
    fn every_lease_comes_once_over_many_pages() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        let socket = UnixListener::bind(&path).unwrap();
        let daemon = thread::spawn(move || serve(&socket, 2500));
        let mut pages = Pages::new(AdminClient::connect(&path).unwrap());
        let mut seen = Vec::new();
        while let Some(page) = pages.next().unwrap() {
            assert!(page.len() <= ADMIN_LEASES_PER_PAGE_MAX);
            seen.extend(page.into_iter().map(|lease| lease.id.commit.0));
        }
        drop(pages);
        daemon.join().unwrap();
        assert_eq!(seen, (1..=2500).collect::<Vec<_>>());
    }

    #[test]
    fn a_feature_is_wanted_with_or_without_its_vendor() {
        let wants = |feature: &str| {
            let args = LeasesArgs {
                feature: Some(feature.to_owned()),
                user: None,
                host: Some("ws1".to_owned()),
                json: false,
            };
            args.wants(&lease_report(1))
        };
        assert!(wants("acme/solver") && wants("solver"));
        assert!(!wants("other/solver") && !wants("acme") && !wants("solve"));
    }

    fn serve(socket: &UnixListener, count: u64) {
        let (stream, _) = socket.accept().unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap() > 0 {
            let question: Question = serde_json::from_str(&line).unwrap();
            let Ask::Leases { after, count_max } = question.ask else {
                panic!("{line}");
            };
            let first = after.map_or(1, |id| id.commit.0 + 1);
            let page = (first..=count).take(count_max).map(lease_report).collect();
            let reply = Reply {
                version: ADMIN_VERSION,
                answer: Answer::Leases(page),
            };
            let reply = serde_json::to_string(&reply).unwrap() + "\n";
            reader.get_mut().write_all(reply.as_bytes()).unwrap();
            line.clear();
        }
    }

    #[test]
    fn a_note_tells_borrowing_and_sharing() {
        assert_eq!(note(&lease_report(1)), "free in 3m unless renewed");
        let evicted = LeaseReport {
            note: Some("evicted: maintenance".to_owned()),
            ..lease_report(1)
        };
        assert_eq!(note(&evicted), "free in 3m; evicted: maintenance");
        let until = WallMs(1_795_348_800_000);
        let borrowed = LeaseReport {
            borrowed_until: Some(until),
            sharing: 3,
            note: Some("evicted: maintenance".to_owned()),
            ..lease_report(1)
        };
        let expected = format!(
            "borrowed until {}, free in 3m; shares its seats with 2 more; evicted: maintenance",
            local_rfc3339(until)
        );
        assert_eq!(note(&borrowed), expected);
    }
}
