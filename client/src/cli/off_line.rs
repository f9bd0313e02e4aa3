//! `usher run` with borrowed seats: the command starts at once, and no server is asked (L10). Decides
//! which vendor's a bare name means without asking anybody, and when the borrow's end is told.

use super::{
    acquire::Terms,
    context::Context,
    failure::Failure,
    run::{Args, NOT_STARTED, OnLost, ended, told_of},
};
use std::{ffi::OsString, path::PathBuf, process::ExitCode, time::Duration};
use usher_client::{
    Error,
    borrow::{BorrowError, Borrowed, Use},
    clock::{Clock, DurationMs, local_rfc3339},
    error::exit,
    process::{Child, Program, Signals},
    protocol::names::FeaturePath,
};

/// What was found on this machine.
pub(crate) enum Found {
    /// A borrowed seat of each feature, ours from now on.
    Seats(OffLine),
    /// One is missing, or why the one there is will not do.
    Nothing(Option<BorrowError>),
}

/// Borrowed seats of what was asked for.
pub(crate) struct OffLine {
    seats: Vec<Seat>,
}

struct Seat {
    borrowed: Borrowed,
    path: FeaturePath,
}

/// Borrowed seats of all features that are wished for. Who names a server wants that server's.
pub(crate) fn find(
    context: &Context,
    features: &[String],
    terms: &Terms,
) -> Result<Found, Failure> {
    if !context.global.server.is_empty() {
        return Ok(Found::Nothing(None));
    }
    let mut seats = Vec::new();
    for name in features {
        match find_one(context, name, terms)? {
            Ok(seat) => seats.push(seat),
            Err(why_not) => return Ok(Found::Nothing(why_not)),
        }
    }
    Ok(Found::Seats(OffLine { seats }))
}

fn find_one(
    context: &Context,
    name: &str,
    terms: &Terms,
) -> Result<Result<Seat, Option<BorrowError>>, Failure> {
    let (vendor, feature) = match name.split_once('/') {
        Some((vendor, feature)) => (Some(vendor), feature),
        None => (None, name),
    };
    let mut wanted = Use::of(feature)?;
    wanted.seats = terms.seats;
    let version = terms.version.as_deref().map(str::parse).transpose();
    wanted.version = version.map_err(Error::from)?;
    let trust = context.trust()?;
    let roots = (trust.roots().iter())
        .filter(|root| vendor.is_none_or(|vendor| root.vendor.as_str() == vendor));
    let mut why_not = None;
    for root in roots {
        let builder = context.builder(root.root, context.environment());
        match builder.borrowed(&wanted) {
            Ok(borrowed) => {
                let (vendor, feature) = (root.vendor.clone(), wanted.feature);
                let path = FeaturePath { vendor, feature };
                return Ok(Ok(Seat { borrowed, path }));
            }
            Err(Error::Borrow(BorrowError::NotBorrowed(_))) => {}
            Err(Error::Borrow(reason)) => why_not = Some(reason),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Err(why_not))
}

/// The failure of the way on line, after the reason why the borrowed seat was none.
pub(crate) fn explain(failure: Failure, why_not: Option<BorrowError>) -> Failure {
    match why_not.map(Error::from) {
        Some(why) if failure.code() == exit::UNREACHABLE => {
            let code = why.exit_code();
            failure.after(&why.to_string(), code)
        }
        _ => failure,
    }
}

impl OffLine {
    /// Runs the command until it ends, or a borrow does.
    pub(crate) async fn run(
        self,
        context: &Context,
        args: &Args,
        mut signals: Signals,
    ) -> Result<ExitCode, Failure> {
        for Seat { borrowed, path } in &self.seats {
            let until = local_rfc3339(borrowed.until());
            context.say(&format!("✓ {path}: borrowed until {until}"));
        }
        let shown: Vec<PathBuf> = self.seats.iter().map(|seat| seat.show(context)).collect();
        let child = Child::spawn(self.program(&args.command, &shown)).await;
        let code = match child {
            Ok(mut child) => Ok(self.attend(&mut child, &mut signals, args.on_lost).await),
            Err(error) => {
                let message = format!("cannot start a process: {error}");
                Err(Failure::new(message, NOT_STARTED))
            }
        };
        for path in shown {
            let _ = std::fs::remove_file(path);
        }
        code.map(ExitCode::from)
    }

    async fn attend(&self, child: &mut Child, signals: &mut Signals, on_lost: OnLost) -> u8 {
        let mut told: Vec<Told> = self.seats.iter().map(Told::at_start).collect();
        loop {
            tokio::select! {
                ended = child.wait() => return ended.exit_code(),
                signal = signals.next() => child.signal(signal),
                () = pass(self.pause()) => {}
            }
            for (seat, told) in self.seats.iter().zip(&mut told) {
                if told.tell_end(seat, on_lost)
                    && let Some(code) = ended(child, on_lost).await
                {
                    return code;
                }
            }
        }
    }

    /// Until the next end, but soon enough to notice a wall clock that stepped.
    fn pause(&self) -> DurationMs {
        let lefts = self.seats.iter().map(|seat| seat.borrowed.left());
        let next = lefts.filter(|left| *left > DurationMs::ZERO).min();
        next.map_or(LOOK_MS, |next| next.min(LOOK_MS))
    }

    fn program(&self, command: &[OsString], shown: &[PathBuf]) -> Program {
        let each = |word: fn(&Seat) -> String| {
            let words: Vec<String> = self.seats.iter().map(word).collect();
            OsString::from(words.join(" "))
        };
        let mut files = OsString::new();
        for (number, path) in shown.iter().enumerate() {
            files.push(if number == 0 { "" } else { ":" });
            files.push(path);
        }
        let leases = each(|seat| seat.borrowed.lease().id.to_string());
        let features = each(|seat| seat.path.to_string());
        told_of(
            command,
            [
                ("USHER_LEASE", leases),
                ("USHER_LEASE_FILE", files),
                ("USHER_FEATURE", features),
            ],
        )
    }
}

impl Seat {
    /// A file of this process's own: others may use the same lease.
    fn show(&self, context: &Context) -> PathBuf {
        let lease = self.borrowed.lease();
        let path = context.paths.shown_lease_file(&lease.root, &lease.id);
        let path = path.with_extension(format!("{}.lease", std::process::id()));
        if let Err(error) = self.borrowed.show(&path) {
            tracing::debug!(%error, "the lease is not shown");
        }
        path
    }
}

/// What was told of one seat's end: each once, to the quiet, too.
struct Told {
    is_near: bool,
    is_over: bool,
}

impl Told {
    fn at_start(seat: &Seat) -> Self {
        Self {
            is_near: seat.borrowed.left() <= NEAR_MS,
            is_over: false,
        }
    }

    /// True in the moment that the seat is lost.
    fn tell_end(&mut self, seat: &Seat, on_lost: OnLost) -> bool {
        let left = seat.borrowed.left();
        if !self.is_near && left <= NEAR_MS {
            self.is_near = true;
            eprintln!("usher: {}: the borrow ends in {left}", seat.path);
        }
        if self.is_over || seat.borrowed.state().holds() {
            return false;
        }
        self.is_over = true;
        eprintln!(
            "usher: {}: the borrow is over{}",
            seat.path,
            on_lost.words()
        );
        true
    }
}

/// Time that goes on while the machine sleeps (L3).
async fn pass(length: DurationMs) {
    if Clock::new().sleep(length).await.is_err() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

const LOOK_MS: DurationMs = DurationMs::seconds(15);
/// How long before its end a borrow's end is told.
const NEAR_MS: DurationMs = DurationMs::minutes(10);
