//! `usher run`: a command that lives as long as its seats. Decides what becomes of the child when
//! a seat is lost, and the exit code; how it is held and stopped is `process.rs`'s.

use super::{
    acquire::{self, Acquired, Outcome, Terms},
    context::Context,
    failure::Failure,
    off_line::{self, Found},
};
use std::{ffi::OsString, path::PathBuf, process::ExitCode, time::Duration};
use tokio::sync::mpsc;
use usher_client::{
    Change, Seat,
    clock::DurationMs,
    error::exit,
    process::{Child, Ended, Program, Signal, Signals, own_executable},
    protocol::{
        envelope::Signed,
        ids::{Commit, Epoch, LeaseId},
    },
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The features, such as acme/solver, or solver where one trusted vendor serves it; several are
    /// had at once or not at all
    #[arg(required = true, value_name = "FEATURE")]
    features: Vec<String>,
    #[command(flatten)]
    terms: Terms,
    /// The lease length to ask for, such as 10m; the license bounds it
    #[arg(long, value_name = "D")]
    length: Option<DurationMs>,
    /// What to do with the command when a seat is lost
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = OnLost::Stop)]
    pub(super) on_lost: OnLost,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(super) command: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum OnLost {
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
    let (features, terms) = (&args.features, &args.terms);
    let why_not = match off_line::find(context, features, terms)? {
        Found::Seats(off_line) => return off_line.run(context, &args, signals).await,
        Found::Nothing(why_not) => why_not,
    };
    let acquired = acquire::acquire(context, &mut signals, features, terms, args.length).await;
    let acquired = match acquired.map_err(|failure| off_line::explain(failure, why_not))? {
        Outcome::Seats(acquired) => acquired,
        Outcome::Interrupted(code) => return Ok(ExitCode::from(code)),
    };
    let (tell, changes) = mpsc::unbounded_channel();
    let mut held = Vec::new();
    for (number, acquired) in acquired.into_iter().enumerate() {
        context.say(&greeting(&acquired));
        let tell = tell.clone();
        acquired.seat.on_change(move |change| {
            let _ = tell.send((number, change));
        });
        let mut shown = Shown::new(context, &acquired);
        shown.refresh(&acquired.seat).await;
        held.push(Held { acquired, shown });
    }
    let child = match Child::spawn(program(&args.command, &held)).await {
        Ok(child) => child,
        Err(error) => {
            give_back(context, held).await;
            let message = format!("cannot start a process: {error}");
            return Err(Failure::new(message, NOT_STARTED));
        }
    };
    let mut attendance = Attendance {
        held: &mut held,
        on_lost: args.on_lost,
        child,
        signals,
        changes,
    };
    let code = attendance.until_the_end().await;
    give_back(context, held).await;
    Ok(ExitCode::from(code))
}

impl OnLost {
    /// What becomes of the command, to go on with after what was lost.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Stop => "; stopping the command",
            Self::Kill => "; killing the command",
            Self::Warn => "; the command goes on without it",
        }
    }
}

/// Does with the child what is to be done without a seat; the exit code if that ended it.
pub(super) async fn ended(child: &mut Child, on_lost: OnLost) -> Option<u8> {
    match on_lost {
        OnLost::Warn => None,
        OnLost::Stop => Some(stopped(child.stop(GRACE).await)),
        OnLost::Kill => {
            child.signal(Signal::KILL);
            Some(stopped(child.wait().await))
        }
    }
}

/// A seat while the command runs.
struct Held {
    acquired: Acquired,
    shown: Shown,
}

/// A running child and everything that can happen to it.
struct Attendance<'a> {
    held: &'a mut [Held],
    on_lost: OnLost,
    child: Child,
    signals: Signals,
    /// Of which seat, and what.
    changes: mpsc::UnboundedReceiver<(usize, Change)>,
}

impl Attendance<'_> {
    async fn until_the_end(&mut self) -> u8 {
        loop {
            let pause = self.pause();
            tokio::select! {
                ended = self.child.wait() => return ended.exit_code(),
                signal = self.signals.next() => {
                    // After a stop or a suspend the clocks may say that a seat is gone (L1).
                    for held in self.held.iter() {
                        let _ = held.acquired.seat.state();
                    }
                    self.child.signal(signal);
                }
                () = tokio::time::sleep(pause) => {
                    for held in self.held.iter_mut() {
                        held.shown.refresh(&held.acquired.seat).await;
                    }
                }
                Some((number, change)) = self.changes.recv() => {
                    if let Some(code) = self.changed(number, &change).await {
                        return code;
                    }
                }
            }
        }
    }

    fn pause(&self) -> Duration {
        let pauses = self
            .held
            .iter()
            .map(|held| Shown::pause(&held.acquired.seat));
        pauses.min().unwrap_or(RELEASE_WAIT)
    }

    /// Tells a change once; the exit code if it ended the child.
    async fn changed(&mut self, number: usize, change: &Change) -> Option<u8> {
        let lost = matches!(change, Change::Lost(_));
        let what = if lost { self.on_lost.words() } else { "" };
        let Acquired { seat, path, .. } = &self.held.get(number)?.acquired;
        // Bad news is told to the quiet, too.
        eprintln!("usher: {path}: {}{what}", in_words(seat, change));
        if !lost {
            return None;
        }
        ended(&mut self.child, self.on_lost).await
    }
}

fn in_words(seat: &Seat, change: &Change) -> String {
    match change {
        Change::Renewing(_) => {
            format!("{change}; the seat is held for {} more", seat.left())
        }
        Change::Lost(why) => format!("the seat is lost: {why}"),
        Change::Restored => "the seat is held again".to_owned(),
        other => other.to_string(),
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
    let beyond = match seat.pool() {
        (out, Some(total)) if out > total => " (overdraft)",
        _ => "",
    };
    format!(
        "✓ {}: {seats}{beyond} from {}, renewed every {}",
        acquired.path,
        server_name(seat),
        seat.rhythm().1
    )
}

/// What the command is told: of each feature in the order asked for, files as in `PATH`.
fn program(command: &[OsString], held: &[Held]) -> Program {
    let each = |word: fn(&Held) -> String| held.iter().map(word).collect::<Vec<_>>().join(" ");
    let mut files = OsString::new();
    for (number, held) in held.iter().enumerate() {
        files.push(if number == 0 { "" } else { ":" });
        files.push(&held.shown.path);
    }
    let lease = each(|held| {
        held.acquired
            .seat
            .id()
            .map_or(String::new(), |id| id.to_string())
    });
    let server = held.first().map(|held| server_name(&held.acquired.seat));
    let told: [(&str, OsString); 4] = [
        ("USHER_LEASE", lease.into()),
        ("USHER_LEASE_FILE", files),
        (
            "USHER_FEATURE",
            each(|held| held.acquired.path.to_string()).into(),
        ),
        ("USHER_SERVER_NAME", server.unwrap_or_default().into()),
    ];
    told_of(command, told)
}

/// The command, told of its seats in its environment.
pub(super) fn told_of<const N: usize>(
    command: &[OsString],
    told: [(&str, OsString); N],
) -> Program {
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

/// The child is gone: the next one in line should not wait for a lease to end. A seat that is lost
/// is dropped, and with it its place in the queue for another.
async fn give_back(context: &Context, held: Vec<Held>) {
    let returning = async {
        for Held { acquired, shown } in held {
            shown.remove();
            if acquired.seat.state().holds() {
                acquired.seat.release().await?;
            }
        }
        Ok::<_, usher_client::Error>(())
    };
    if !matches!(
        tokio::time::timeout(RELEASE_WAIT, returning).await,
        Ok(Ok(()))
    ) {
        context.say(
            "usher: the server did not take the seat back yet; it comes free when its lease ends",
        );
    }
}

pub(super) const NOT_STARTED: u8 = 126;
/// From SIGTERM to SIGKILL.
const GRACE: DurationMs = DurationMs::seconds(10);
/// A command's end is not held up longer by a server that does not answer.
const RELEASE_WAIT: Duration = Duration::from_secs(2);
