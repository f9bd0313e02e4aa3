//! The model says what the code does: the real engine is taken along the model's ways, over random
//! crossroads, and must answer, offer and store the same. A tick is a second, a lease lasts two or three.
//!
//! Not compared are the chain of T6, which the model leaves out (each step here is the right one), and
//! the client's side, which `tests/simulation` drives.

mod beside;

use usher_model::{Action, Bounds, CLIENTS, Fault, Lease, Message, Place, State};

use self::beside::{Beside, Heard};
use crate::{
    proof::{Dice, seeds, tell},
    states::WORLD,
};

const WAYS: u64 = 150;

/// No way is longer than the minute for which a nonce is remembered (L5).
const TICKS_MAX: u32 = 55;

/// The engine's lengths in ticks of a second: a test license's least guard time, and the offer's.
const REAL: Bounds = Bounds {
    lengths: [2, 3],
    offer: 30,
    messages: 4,
    restarts: 3,
    ..WORLD
};

#[test]
fn the_engine_goes_the_ways_of_the_model() {
    let (mut ways, mut compared, mut leases) = (0, 0, 0);
    for seed in seeds(WAYS) {
        let figures = walk(seed, REAL).unwrap_or_else(|finding| panic!("seed {seed}: {finding}"));
        ways += 1;
        compared += figures.compared;
        leases += figures.leases;
    }
    tell(
        "the engine beside the model",
        &[
            ("ways", ways),
            ("answers compared", compared),
            ("leases granted", leases),
            ("differences", 0),
        ],
    );
    assert!(leases > 0, "nothing was lent");
}

/// Each rule of the daemon's that the model breaks is one that the engine keeps.
#[test]
fn the_engine_leaves_the_ways_of_a_wrong_model() {
    let faults = [
        Fault::NoGuard,
        Fault::NoHold,
        Fault::ForgetsLongest,
        Fault::StoresFirstLengthOnly,
        Fault::DeadlineMovesBack,
        Fault::EvictsAtOnce,
        Fault::OfferKeepsNothing,
        Fault::OfferForEver,
    ];
    for fault in faults {
        let bounds = Bounds {
            fault: Some(fault),
            ..REAL
        };
        let mut seeds = 1..WAYS;
        let seed = seeds.find(|seed| walk(*seed, bounds).is_err());
        println!("{fault:?}: the engine parts from it at seed {seed:?}");
        assert!(seed.is_some(), "{fault:?} makes no difference");
    }
}

#[derive(Default)]
struct Walked {
    compared: u64,
    leases: u64,
}

/// One random way, from the beginning.
fn walk(seed: u64, bounds: Bounds) -> Result<Walked, String> {
    let mut dice = Dice::new(seed);
    let mut state = State::first(bounds.restarts);
    let mut beside = Beside::new(bounds.seats, bounds.lengths);
    let mut walked = Walked::default();
    let mut ticks = 0;
    while ticks < TICKS_MAX {
        let mut ahead = Vec::new();
        bounds.each_next(&state, |action, next| ahead.push((action, next)));
        let Ok(crossroads) = u64::try_from(ahead.len()) else {
            break;
        };
        let taken = usize::try_from(dice.below(crossroads)).unwrap_or_default();
        let (action, next) = ahead[taken];
        ticks += u32::from(action == Action::Tick);
        let told = step(&bounds, &mut beside, &state, action, &next)
            .and_then(|()| stored(&beside, &next))
            .map_err(|what| format!("after {ticks} ticks, at {action:?}: {what}\n{state:?}"));
        told?;
        walked.compared += u64::from(matches!(action, Action::Deliver { .. }));
        state = next;
    }
    walked.leases = beside.leases_granted;
    Ok(walked)
}

/// The same step beside the model; what came of it must be the same.
fn step(
    bounds: &Bounds,
    beside: &mut Beside,
    state: &State,
    action: Action,
    next: &State,
) -> Result<(), String> {
    match action {
        Action::Tick => beside.tick(),
        Action::Wake => {
            beside.wake();
            offered(beside, state, next, None)?;
        }
        Action::Commit => beside.commit(),
        Action::Ask(client) => beside.begin(client),
        Action::Evict(client) => {
            beside.evict(client);
            offered(beside, state, next, None)?;
        }
        Action::ChangeLength => {
            beside.change_length(usize::from(next.length));
            offered(beside, state, next, None)?;
        }
        Action::Crash => beside.crash(),
        Action::Start(_) => beside.start(),
        Action::Deliver {
            client, message, ..
        } => {
            if let Some(due) = expected(bounds, state, next, client, message) {
                // A queue of one place: who finds it taken does not ask to wait.
                let has_place = next.clients[client].place != Place::None;
                let heard = beside.ask(client, message, has_place);
                if heard != due {
                    return Err(format!("the engine says {heard:?}, the model {due:?}"));
                }
                offered(beside, state, next, Some(client))?;
            }
        }
        Action::Send(_) | Action::Stop(_) | Action::Vanish(_) | Action::Lose(..) => {}
    }
    if beside.is_dirty() != next.dirty {
        return Err(format!("the engine writes: {}", beside.is_dirty()));
    }
    Ok(())
}

/// What the model's daemon answers to a request.
fn expected(
    bounds: &Bounds,
    state: &State,
    next: &State,
    client: usize,
    message: Message,
) -> Option<Heard> {
    let (before, after) = (&state.clients[client], &next.clients[client]);
    let is_over = |lease: Lease| lease.deadline == 0;
    let ended = before.ended || before.lease.is_some_and(is_over);
    Some(match message {
        Message::Granted(_) | Message::Ended => return None,
        Message::Release => Heard::Ended,
        Message::Checkout(_) | Message::Renew(_) => match (after.lease, after.place) {
            (Some(lease), _) if lease.stored.evicted => Heard::Evicted,
            (Some(_), _) => Heard::Granted(bounds.lengths[usize::from(state.length)]),
            (None, Place::None) if ended || matches!(message, Message::Renew(_)) => Heard::Ended,
            (None, Place::None) => Heard::NoSeat,
            (None, _) => Heard::Queued,
        },
    })
}

/// Seats that came free are offered to the same. What is offered to the one who asks, it claims or
/// gives up by asking.
fn offered(
    beside: &mut Beside,
    state: &State,
    next: &State,
    asker: Option<usize>,
) -> Result<(), String> {
    let is_offered = |place| matches!(place, Place::Offered(_));
    let is_due =
        |it: &usize| is_offered(next.clients[*it].place) && !is_offered(state.clients[*it].place);
    let others = |it: &usize| Some(*it) != asker;
    let due: Vec<usize> = (0..CLIENTS).filter(is_due).filter(others).collect();
    let mut offered = beside.take_offered();
    offered.retain(others);
    if offered == due {
        return Ok(());
    }
    Err(format!(
        "the engine offers to {offered:?}, the model to {due:?}"
    ))
}

/// The same is on the disk.
fn stored(beside: &Beside, next: &State) -> Result<(), String> {
    for (client, it) in next.clients.iter().enumerate() {
        let due = it.stored.map(|it| (it.longest, it.evicted));
        let stored = beside.stored(client);
        if stored != due {
            return Err(format!(
                "of {client} the engine stores {stored:?}, the model {due:?}"
            ));
        }
    }
    Ok(())
}
