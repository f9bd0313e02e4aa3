//! Workstations: their clocks, keys and marks, and what is on their seats.

use std::collections::BTreeMap;

use usher_client::{
    connection::Expected,
    marks::Mark,
    session::{Ask, Change, Fresh, Input, Output, Session},
};
use usher_protocol::{
    codec,
    documents::license::Grouping,
    envelope::{Signature, Signed},
    ids::{Nonce, PublicKey, Token},
    time::{DurationMs, Now, WallMs},
    wire::Holder,
};
use usher_tests::proof::Dice;

use super::{Event, World, link::Link, network::FromClient, server::draw_drift};
use crate::{clock::MachineClock, knobs::Knobs, planted::Planted, site};

/// A workstation with one client process.
pub(crate) struct Station {
    pub(crate) number: usize,
    pub(crate) key: PublicKey,
    pub(crate) clock: MachineClock,
    pub(crate) mark: Option<Mark>,
    pub(crate) link: Link,
    pub(crate) seats: BTreeMap<u64, Seat>,
    pub(crate) calls: BTreeMap<(u64, u64), Call>,
    pub(crate) is_still: bool,
    pub(crate) held: Vec<Event>,
    pub(crate) is_blocked: bool,
    /// Paused with a wall clock that led so much.
    pub(crate) wall_leads_ms: Option<i64>,
    /// Its wall clock jumps, so it is never paused: nobody would correct it (L14).
    pub(crate) jumps: bool,
    pub(crate) dials: u64,
    pub(crate) failures: u32,
    pub(crate) wish: u64,
    pub(crate) last_seat: u64,
}

/// One seat's session.
pub(crate) struct Seat {
    pub(crate) session: Session,
    pub(crate) seats: u32,
    pub(crate) holder: Holder,
    /// As of the last extension that the session took in: how many seats may be out, and what shares
    /// one.
    pub(crate) extended: Option<Extended>,
    pub(crate) wish: u64,
    pub(crate) is_done: bool,
    /// The store was put back since its last extension.
    pub(crate) may_be_lost: bool,
}

/// The license as it stood when a lease was last extended (L7).
#[derive(Debug, Clone)]
pub(crate) struct Extended {
    pub(crate) signed: Signed,
    pub(crate) limit: u32,
    pub(crate) grouping: Grouping,
}

/// A request under way.
pub(crate) struct Call {
    pub(crate) seat: u64,
    pub(crate) attempt: u64,
    pub(crate) expected: Option<Expected>,
    pub(crate) sent: Now,
}

/// Names one seat of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeatId {
    /// Of which workstation.
    pub station: usize,
    /// Which of all it ever had.
    pub number: u64,
}

/// What somebody wants.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Seats at once.
    pub seats: u32,
    /// Stand in the queue for them.
    pub waits: bool,
    /// A length other than the usual one.
    pub length_ms: Option<DurationMs>,
    /// The user's login name.
    pub user: String,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            seats: 1,
            waits: false,
            length_ms: None,
            user: "ann".to_owned(),
        }
    }
}

impl Station {
    pub(crate) fn new(
        number: usize,
        dice: &mut Dice,
        knobs: &Knobs,
        planted: Option<Planted>,
    ) -> Self {
        let drift = draw_drift(dice, knobs, -1);
        let mut clock = MachineClock::new(crate::clock::Moment(0), drift);
        clock.stops_in_suspend = planted == Some(Planted::BootStopsInSuspend);
        Self {
            number,
            key: site::station_key(number),
            clock,
            mark: None,
            link: Link::Down,
            seats: BTreeMap::new(),
            calls: BTreeMap::new(),
            is_still: false,
            held: Vec::new(),
            is_blocked: false,
            wall_leads_ms: None,
            jumps: dice.permille(500),
            dials: 0,
            failures: 0,
            wish: 0,
            last_seat: 0,
        }
    }

    /// A machine that its hypervisor has stopped uses nothing, whatever its clocks say.
    pub(crate) fn is_paused(&self) -> bool {
        self.wall_leads_ms.is_some()
    }
}

impl World {
    /// Somebody at a workstation wants a seat.
    pub fn check_out(&mut self, station: usize, wish: &Wish) -> SeatId {
        let (now, fresh) = (self.station_now(station), self.fresh());
        let it = &mut self.stations[station];
        it.last_seat += 1;
        let number = it.last_seat;
        let holder = Holder {
            user: wish.user.clone(),
            host: format!("ws{station}"),
            display: Some(format!(":{}", number % 2)),
            process: u32::try_from(number).unwrap_or(u32::MAX),
        };
        let ask = Ask {
            feature: site::FEATURE.parse().unwrap(),
            environment: self.knobs.terms.environment,
            seats: wish.seats,
            version: None,
            length_ms: wish.length_ms,
            holder: holder.clone(),
        };
        let session = Session::new(ask, now, fresh);
        let session = if wish.waits {
            session.waiting()
        } else {
            session
        };
        let seat = Seat {
            session,
            seats: wish.seats,
            holder,
            extended: None,
            wish: 0,
            is_done: false,
            may_be_lost: false,
        };
        it.seats.insert(number, seat);
        let id = SeatId { station, number };
        self.figures.checkouts += 1;
        self.note(|| format!("{id} wants {} seats", wish.seats));
        match self.stations[station].link.up() {
            Some(_) => self.feed(id, Input::Connected(site::site())),
            None => self.want_link(station),
        }
        id
    }

    /// The user of a seat gives it back, or waits no more.
    pub fn release(&mut self, seat: SeatId) {
        if let Some(it) = self.stations[seat.station].seats.get_mut(&seat.number) {
            it.is_done = true;
            self.note(|| format!("{seat} is done"));
            self.feed(seat, Input::Release);
        }
    }

    /// The client process of a workstation dies: its seats are in nobody's use.
    pub fn kill_client(&mut self, station: usize) {
        self.note(|| format!("the client of station {station} dies"));
        self.figures.client_crashes += 1;
        let it = &mut self.stations[station];
        it.seats.clear();
        it.calls.clear();
        it.held.clear();
        if let Some(connection) = it.link.connection() {
            it.link = Link::Down;
            let delay = self.dice.below(super::network::IDLE_MS_MAX);
            self.after(DurationMs(delay), Event::ServerLoses(connection, false));
        }
        self.watch.beliefs_changed = true;
    }

    /// Whether the seat's application may believe now that it holds.
    pub fn holds(&self, seat: SeatId) -> bool {
        let station = &self.stations[seat.station];
        let now = self.station_now(seat.station);
        let it = station.seats.get(&seat.number);
        it.is_some_and(|it| it.session.state(now).is_some_and(|state| state.holds()))
    }

    /// Whether the session of the seat goes on.
    pub fn is_open(&self, seat: SeatId) -> bool {
        self.stations[seat.station].seats.contains_key(&seat.number)
    }

    /// Its session, to look at.
    pub fn session(&self, seat: SeatId) -> Option<&Session> {
        let it = self.stations[seat.station].seats.get(&seat.number)?;
        Some(&it.session)
    }

    /// What a workstation's clocks show.
    pub fn station_now(&self, station: usize) -> Now {
        let now = self.stations[station].clock.now(self.now);
        if self.planted == Some(Planted::WallIgnored) {
            return Now {
                wall: WallMs(1_000_000_000_000 + now.boot.0),
                ..now
            };
        }
        now
    }

    /// Hands one input to a session, and does what it says.
    pub(crate) fn feed(&mut self, id: SeatId, input: Input) {
        let (now, fresh) = (self.station_now(id.station), self.fresh());
        let station = &mut self.stations[id.station];
        let Some(seat) = station.seats.get_mut(&id.number) else {
            return;
        };
        let output = seat.session.handle(now, fresh, input);
        self.watch.beliefs_changed = true;
        self.carry_out(id, now, output);
    }

    pub(crate) fn feed_all(&mut self, station: usize, input: &Input) {
        for seat in self.seats_of(station) {
            self.feed(seat, input.clone());
        }
    }

    pub(crate) fn seats_of(&self, station: usize) -> Vec<SeatId> {
        let seats = self.stations[station].seats.keys();
        seats
            .map(|number| SeatId {
                station,
                number: *number,
            })
            .collect()
    }

    fn carry_out(&mut self, id: SeatId, now: Now, output: Output) {
        if let (Some(send), Some(connection)) = (output.send, self.stations[id.station].link.up()) {
            let station = &mut self.stations[id.station];
            station.wish += 1;
            let number = station.wish;
            let ask = station.seats.get(&id.number).map(|seat| seat.session.ask());
            let call = Call {
                seat: id.number,
                attempt: send.attempt,
                expected: ask.and_then(|ask| Expected::of(ask, &send.request)),
                sent: now,
            };
            station.calls.insert((connection, number), call);
            self.note(|| format!("{id} sends {}", name(&send.request)));
            let message = FromClient::Request(number, Box::new(send.request));
            self.send_to_server(connection, &message);
        }
        if let Some(outcome) = output.outcome {
            self.settle(id, &outcome);
        }
        if let Some(change) = output.change {
            self.note(|| format!("{id} is {change}"));
            if matches!(change, Change::Lost(_)) {
                self.lose_patience(id);
            }
        }
        if output.over {
            self.stations[id.station].seats.remove(&id.number);
            self.note(|| format!("{id} is over"));
        }
        if output.reconnect {
            self.abandon(id.station);
        }
        self.set_due(id);
    }

    /// Wakes the session when something is due by its boot clock. Its wall clock is looked at after it
    /// jumped: see [`World::jump_station_wall`].
    pub(crate) fn set_due(&mut self, id: SeatId) {
        let now = self.now;
        let shown = self.station_now(id.station);
        let station = &mut self.stations[id.station];
        let Some(seat) = station.seats.get_mut(&id.number) else {
            return;
        };
        seat.wish += 1;
        let wish = seat.wish;
        if let Some(due) = seat.session.due(shown) {
            let at = station.clock.moment_of(due, now);
            self.at(at, Event::Due(id, wish));
        }
    }

    pub(crate) fn set_dues(&mut self, station: usize) {
        for seat in self.seats_of(station) {
            self.set_due(seat);
            self.look_soon(seat);
        }
    }

    /// The driver looks at its clocks every five seconds (L1).
    pub(crate) fn look_soon(&mut self, seat: SeatId) {
        let delay = self.dice.below(5_000);
        self.after(DurationMs(delay), Event::Look(seat));
    }

    pub(crate) fn due(&mut self, id: SeatId, wish: u64) {
        let seat = self.stations[id.station].seats.get(&id.number);
        if seat.is_some_and(|seat| seat.wish == wish) {
            self.feed(id, Input::Tick);
        }
    }

    pub(crate) fn look(&mut self, seat: SeatId) {
        self.feed(seat, Input::Tick);
    }

    /// Somebody sets the wall clock of a workstation.
    pub fn jump_station_wall(&mut self, station: usize, by_ms: i64) {
        self.figures.wall_jumps += 1;
        self.note(|| format!("the wall clock of station {station} jumps by {by_ms} ms"));
        let now = self.now;
        self.stations[station].clock.jump_wall(now, by_ms);
        self.watch.beliefs_changed = true;
        for seat in self.seats_of(station) {
            self.look_soon(seat);
        }
    }

    fn fresh(&mut self) -> Fresh {
        let mut draw = || {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&self.dice.roll().to_le_bytes());
            bytes[8..].copy_from_slice(&self.dice.roll().to_le_bytes());
            bytes
        };
        Fresh {
            nonce: Nonce(draw()),
            token: Token(draw()),
            jitter: u16::try_from(self.dice.below(65_536)).unwrap_or(0),
        }
    }
}

/// As it would come from the wire, but for the signature: one is made where one is looked at.
pub(crate) fn unsigned(lease: &usher_protocol::documents::lease::Lease) -> Signed {
    Signed {
        body: codec::encode(lease).unwrap(),
        signature: Signature::from_bytes(&[0; 64]),
    }
}

fn name(request: &usher_protocol::wire::Request) -> String {
    use usher_protocol::wire::Request;
    match request {
        Request::Checkout(_) => "a checkout".to_owned(),
        Request::CheckoutAll(_) => "a checkout of several".to_owned(),
        Request::Renew(it) => format!("a renewal of {}", it.lease),
        Request::Release(it) => format!("a release of {}", it.lease),
        Request::Attach(_) => "its lease".to_owned(),
        Request::Leave(_) => "a good-bye to the queue".to_owned(),
        other => format!("{other:?}"),
    }
}

impl std::fmt::Display for SeatId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "seat {}/{}", self.station, self.number)
    }
}
