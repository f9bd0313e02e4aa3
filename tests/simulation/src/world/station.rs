//! Workstations: their clocks, keys and marks, and what is on their seats.

use std::collections::BTreeMap;

use usher_client::{
    connection::Expected,
    marks::Mark,
    session::{Ask, Change, Fresh, Input, Outcome, Output, Send, Session},
};
use usher_protocol::{
    codec,
    documents::license::Grouping,
    envelope::{Signature, Signed},
    ids::{Commit, Epoch, Nonce, PublicKey, Token},
    names::{FeatureName, LicenseId},
    time::{DurationMs, Now, WallMs},
    wire::{Holder, Request},
};
use usher_tests::proof::Dice;

use super::{
    Event, World,
    home::{AskedHome, AtHome},
    link::Link,
    network::FromClient,
    server::draw_drift,
};
use crate::{clock::MachineClock, knobs::Knobs, planted::Planted, site};

/// A workstation with one client process.
pub(crate) struct Station {
    pub(crate) number: usize,
    pub(crate) key: PublicKey,
    pub(crate) clock: MachineClock,
    /// By license, as the client keeps them (L12).
    pub(crate) marks: BTreeMap<LicenseId, Mark>,
    /// By license the highest serial, and the last epoch, that welcomed it, whatever its marks say.
    pub(crate) seen: BTreeMap<LicenseId, (u64, Epoch)>,
    pub(crate) link: Link,
    pub(crate) seats: BTreeMap<u64, Seat>,
    /// Taken home, as files that outlive the client's process (L10).
    pub(crate) at_home: Vec<AtHome>,
    /// Asked to take home, and not answered yet; on disk before it is sent.
    pub(crate) asked_home: Option<AskedHome>,
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
    /// How often its set was asked for.
    pub(crate) sets_sent: u32,
    /// The store was put back since its last extension.
    pub(crate) may_be_lost: bool,
}

/// The license as it stood when a lease was last extended (L7).
#[derive(Debug, Clone)]
pub(crate) struct Extended {
    pub(crate) signed: Signed,
    /// The daemon's life and its last commit then.
    pub(crate) head: (Epoch, Commit),
    pub(crate) pool: (LicenseId, FeatureName),
    pub(crate) expires: Option<WallMs>,
    pub(crate) limit: u32,
    pub(crate) grouping: Grouping,
}

/// A request under way.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) from: From,
    /// What the leases in its answer must say, in this order.
    pub(crate) expected: Vec<Expected>,
    /// Of a set, the nonces that stand or fall together.
    pub(crate) set: Vec<Nonce>,
    pub(crate) sent: Now,
}

/// Who at a workstation asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// The session of that seat, with its attempt of that number.
    Seat(u64, u64),
    /// Whoever wants to take a seat home, under that nonce.
    TakingHome(Nonce),
    /// Whoever brings one back; whether its share goes on although too many seats are out.
    BringingBack { is_short: bool },
    /// Whoever shows what is at home.
    Showing,
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
    /// A seat of the second feature in the same breath: both or none.
    pub second: bool,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            seats: 1,
            waits: false,
            length_ms: None,
            user: "ann".to_owned(),
            second: false,
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
            marks: BTreeMap::new(),
            seen: BTreeMap::new(),
            link: Link::Down,
            seats: BTreeMap::new(),
            at_home: Vec::new(),
            asked_home: None,
            calls: BTreeMap::new(),
            is_still: false,
            held: Vec::new(),
            is_blocked: false,
            wall_leads_ms: None,
            jumps: dice.permille(if knobs.work.home.is_some() { 250 } else { 500 }),
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

    /// Somebody there wants something of the server.
    pub(crate) fn needs_link(&self) -> bool {
        !self.seats.is_empty() || self.asked_home.is_some()
    }
}

impl World {
    /// Somebody at a workstation wants a seat.
    pub fn check_out(&mut self, station: usize, wish: &Wish) -> SeatId {
        let (now, fresh) = (self.station_now(station), self.fresh());
        let number = self.number_seat(station);
        let holder = Holder {
            user: wish.user.clone(),
            host: format!("ws{station}"),
            display: Some(format!(":{}", number % 2)),
            process: u32::try_from(number).unwrap_or(u32::MAX),
        };
        let ask = |feature: &str, seats| Ask {
            feature: feature.parse().unwrap(),
            environment: self.knobs.terms.environment,
            seats,
            version: None,
            length_ms: wish.length_ms,
            holder: holder.clone(),
        };
        let mut session = Session::new(ask(site::FEATURE, wish.seats), now, fresh);
        if wish.waits {
            session = session.waiting();
        }
        if wish.second {
            session = session.together_with(vec![ask(site::FEATURE_SECOND, 1)]);
        }
        let seat = Seat::new(session);
        self.stations[station].seats.insert(number, seat);
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
            let call = call_of(station.seats.get_mut(&id.number), id, &send, now);
            station.calls.insert((connection, number), call);
            self.note(|| format!("{id} sends {}", name(&send.request)));
            let message = FromClient::Request(number, Box::new(send.request));
            self.send_to_server(connection, &message);
        }
        let is_granted = output.outcome == Some(Outcome::Granted);
        for companion in output.companions {
            self.adopt(id.station, companion, is_granted);
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

    /// Another lease of a set is a seat of its own from now on; what came without being granted goes back (L5).
    fn adopt(&mut self, station: usize, session: Session, is_granted: bool) {
        let number = self.number_seat(station);
        let id = SeatId { station, number };
        self.stations[station]
            .seats
            .insert(number, Seat::new(session));
        self.note(|| format!("{id} came with a set, granted: {is_granted}"));
        if is_granted {
            self.feed(id, Input::Tick);
            self.use_seat(id);
        } else {
            self.release(id);
        }
    }

    fn number_seat(&mut self, station: usize) -> u64 {
        let it = &mut self.stations[station];
        it.last_seat += 1;
        it.last_seat
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

    pub(crate) fn fresh(&mut self) -> Fresh {
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

impl Seat {
    fn new(session: Session) -> Self {
        Self {
            seats: session.ask().seats,
            holder: session.ask().holder.clone(),
            session,
            extended: None,
            wish: 0,
            is_done: false,
            sets_sent: 0,
            may_be_lost: false,
        }
    }
}

/// What is remembered of a request until its answer comes.
fn call_of(seat: Option<&mut Seat>, id: SeatId, send: &Send, now: Now) -> Call {
    let mut call = Call {
        from: From::Seat(id.number, send.attempt),
        expected: Vec::new(),
        set: Vec::new(),
        sent: now,
    };
    match (&send.request, seat) {
        (Request::CheckoutAll(all), Some(seat)) => {
            seat.sets_sent += 1;
            call.expected = all.iter().map(Expected::of_checkout).collect();
            // Whether a repeat leaves nothing cannot be known: its first send may have been granted.
            let is_first = seat.sets_sent == 1;
            call.set = all.iter().map(|it| it.nonce).filter(|_| is_first).collect();
        }
        (request, Some(seat)) => {
            let expected = Expected::of(seat.session.ask(), request);
            call.expected = expected.into_iter().collect();
        }
        (_, None) => {}
    }
    call
}

/// As it would come from the wire, but for the signature: one is made where one is looked at.
pub(crate) fn unsigned(lease: &usher_protocol::documents::lease::Lease) -> Signed {
    Signed {
        body: codec::encode(lease).unwrap(),
        signature: Signature::from_bytes(&[0; 64]),
    }
}

fn name(request: &Request) -> String {
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
