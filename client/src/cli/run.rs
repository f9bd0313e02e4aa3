//! `usher run`: a command that lives as long as its seat. Decides what becomes of the child when
//! the seat is lost, and the exit code; how it is held and stopped is `process.rs`'s.

use super::{
    acquire::{self, Acquired, Outcome, Wish},
    context::Context,
    failure::Failure,
};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};
use tokio::sync::mpsc;
use usher_client::{
    Change, Seat,
    clock::DurationMs,
    error::exit,
    process::{Child, Ended, Program, Signal, Signals, own_executable},
    protocol::{
        envelope::Signed,
        ids::{Commit, Epoch, LeaseId},
        names::FeaturePath,
    },
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    wish: Wish,
    /// The lease length to ask for, such as 10m; the license bounds it
    #[arg(long, value_name = "D")]
    length: Option<DurationMs>,
    /// What to do with the command when the seat is lost
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = OnLost::Stop)]
    on_lost: OnLost,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum OnLost {
    /// Say so and let it run
    Warn,
    /// SIGTERM, and SIGKILL ten seconds later
    Stop,
    /// SIGKILL at once
    Kill,
}

pub(crate) async fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let mut signals = Signals::listen()
        .map_err(|error| Failure::local(format!("cannot listen to signals: {error}")))?;
    let acquired = acquire::acquire(context, &mut signals, &args.wish, args.length).await?;
    let acquired = match acquired {
        Outcome::Seat(acquired) => *acquired,
        Outcome::Interrupted(code) => return Ok(ExitCode::from(code)),
    };
    context.say(&greeting(&acquired));
    let (tell, changes) = mpsc::unbounded_channel();
    acquired.seat.on_change(move |change| {
        let _ = tell.send(change);
    });
    let mut shown = Shown::new(context, &acquired);
    shown.refresh(&acquired.seat).await;
    let program = program(&args.command, &acquired, &shown.path);
    let child = match Child::spawn(program).await {
        Ok(child) => child,
        Err(error) => {
            shown.remove();
            give_back(context, acquired.seat).await;
            let message = format!("cannot start a process: {error}");
            return Err(Failure::new(message, NOT_STARTED));
        }
    };
    let mut attendance = Attendance {
        path: &acquired.path,
        seat: &acquired.seat,
        on_lost: args.on_lost,
        child,
        signals,
        changes,
        shown: &mut shown,
    };
    let code = attendance.until_the_end().await;
    shown.remove();
    give_back(context, acquired.seat).await;
    Ok(ExitCode::from(code))
}

/// A running child and everything that can happen to it.
struct Attendance<'a> {
    path: &'a FeaturePath,
    seat: &'a Seat,
    on_lost: OnLost,
    child: Child,
    signals: Signals,
    changes: mpsc::UnboundedReceiver<Change>,
    shown: &'a mut Shown,
}

impl Attendance<'_> {
    async fn until_the_end(&mut self) -> u8 {
        loop {
            tokio::select! {
                ended = self.child.wait() => return ended.exit_code(),
                signal = self.signals.next() => {
                    // After a stop or a suspend the clocks may say that the seat is gone (L1).
                    let _ = self.seat.state();
                    self.child.signal(signal);
                }
                () = tokio::time::sleep(Shown::pause(self.seat)) => {
                    self.shown.refresh(self.seat).await;
                }
                Some(change) = self.changes.recv() => {
                    if let Some(code) = self.changed(&change).await {
                        return code;
                    }
                }
            }
        }
    }

    /// Tells a change once; the exit code if it ended the child.
    async fn changed(&mut self, change: &Change) -> Option<u8> {
        let lost = matches!(change, Change::Lost(_));
        let what = match (lost, self.on_lost) {
            (true, OnLost::Stop) => "; stopping the command",
            (true, OnLost::Kill) => "; killing the command",
            (true, OnLost::Warn) => "; the command goes on without it",
            (false, _) => "",
        };
        // Bad news is told to the quiet, too.
        eprintln!("usher: {}: {}{what}", self.path, self.words(change));
        if !lost {
            return None;
        }
        match self.on_lost {
            OnLost::Warn => None,
            OnLost::Stop => Some(stopped(self.child.stop(GRACE).await)),
            OnLost::Kill => {
                self.child.signal(Signal::KILL);
                Some(stopped(self.child.wait().await))
            }
        }
    }

    fn words(&self, change: &Change) -> String {
        match change {
            Change::Renewing(_) => {
                format!("{change}; the seat is held for {} more", self.seat.left())
            }
            Change::Lost(why) => format!("the seat is lost: {why}"),
            Change::Restored => "the seat is held again".to_owned(),
            other => other.to_string(),
        }
    }
}

/// The lease in a file that the command may verify: rewritten after each renewal.
struct Shown {
    path: PathBuf,
    lease: Option<Signed>,
}

impl Shown {
    fn new(context: &Context, acquired: &Acquired) -> Self {
        let id = acquired.seat.id().unwrap_or(LeaseId {
            epoch: Epoch(0),
            commit: Commit(0),
        });
        Self {
            path: context.paths.shown_lease_file(&acquired.root, &id),
            lease: None,
        }
    }

    /// The command holds its seat whether or not it can be shown.
    async fn refresh(&mut self, seat: &Seat) {
        let lease = seat.signed_lease();
        if lease == self.lease || !seat.state().holds() {
            return;
        }
        match seat.show(&self.path).await {
            Ok(_) => self.lease = lease,
            Err(error) => tracing::debug!(%error, "the lease is not shown"),
        }
    }

    /// Well within a renewal's rhythm, so that the file never tells of an end that is past.
    fn pause(seat: &Seat) -> Duration {
        let (_, renew_after) = seat.rhythm();
        (renew_after.to_std() / 4).clamp(Duration::from_millis(250), Duration::from_secs(30))
    }

    fn remove(&self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A child that ended by itself in that very moment was still stopped for all anybody knows.
fn stopped(_: Ended) -> u8 {
    exit::LOST
}

/// `✓ acme/solver: seat 4 of 10 from lic01, renewed every 3m20s`
fn greeting(acquired: &Acquired) -> String {
    let seat = &acquired.seat;
    let (out, total) = seat.pool();
    let total = total.map_or(String::new(), |total| format!(" of {total}"));
    let seats = match seat.seats() {
        1 => format!("seat {out}{total}"),
        n => format!("seats {} to {out}{total}", out.saturating_sub(n - 1)),
    };
    format!(
        "✓ {}: {seats} from {}, renewed every {}",
        acquired.path,
        server_name(seat),
        seat.rhythm().1
    )
}

fn program(command: &[OsString], acquired: &Acquired, shown: &Path) -> Program {
    let lease = acquired.seat.id().map(|id| id.to_string());
    let told: [(&str, OsString); 4] = [
        ("USHER_LEASE", lease.unwrap_or_default().into()),
        ("USHER_LEASE_FILE", shown.into()),
        ("USHER_FEATURE", acquired.path.to_string().into()),
        ("USHER_SERVER_NAME", server_name(&acquired.seat).into()),
    ];
    let environment = told.map(|(name, value)| (name.into(), value));
    let mut words = command.iter().cloned();
    Program {
        program: words.next().unwrap_or_default(),
        arguments: words.collect(),
        environment: environment.into(),
        leash: own_executable(),
    }
}

fn server_name(seat: &Seat) -> String {
    seat.server().map(|server| server.name).unwrap_or_default()
}

/// The child is gone: the next one in line should not wait for a lease to end.
async fn give_back(context: &Context, seat: Seat) {
    if !seat.state().holds() {
        return;
    }
    match tokio::time::timeout(RELEASE_WAIT, seat.release()).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) | Err(_) => context.say(
            "usher: the server did not take the seat back yet; it comes free when its lease ends",
        ),
    }
}

const NOT_STARTED: u8 = 126;
/// From SIGTERM to SIGKILL.
const GRACE: DurationMs = DurationMs::seconds(10);
/// A command's end is not held up longer by a server that does not answer.
const RELEASE_WAIT: Duration = Duration::from_secs(2);
