//! Seats that are taken home (L10): asked for over the network, kept as a file, shown again and brought
//! back. The file is believed by the workstation's own wall clock, which somebody keeps right there: what
//! nobody corrects is outside the guarantee (L14).

use usher_client::connection::Expected;
use usher_engine::api::{AdminAsk, Answer};
use usher_protocol::{
    documents::lease::Lease,
    ids::{LeaseId, Nonce},
    refusal::RefusalCode,
    time::{DurationMs, WallMs},
    wire::{Attach, Borrow, Checkout, Holder, Link, Release, Request},
};

use super::{
    Machine, World,
    network::FromClient,
    station::{Call, Extended, From, Seat, unsigned},
};
use crate::{clock::Moment, invariants};

/// A borrowed lease at its workstation.
pub(crate) struct AtHome {
    pub(crate) lease: Lease,
    nonce: Nonce,
    pub(crate) extended: Extended,
    /// The store was put back since.
    pub(crate) may_be_lost: bool,
    pub(crate) written_off: WrittenOff,
}

/// Whether its seat may be lent to others while it is at home (L10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WrittenOff {
    No,
    /// Asked for, and not answered.
    Maybe,
    Yes,
}

/// What was asked for, the same in every repeat (L5).
#[derive(Debug, Clone)]
pub(crate) struct AskedHome(Checkout);

impl AtHome {
    /// Whether its holder may use it.
    pub(crate) fn holds(&self, wall: WallMs) -> bool {
        wall < self.lease.not_after
    }
}

impl World {
    /// Somebody at a workstation thinks of going home, or is back.
    pub(crate) fn go_or_come_home(&mut self, anybody: usize) {
        let station = self.who_works(anybody);
        let it = &self.stations[station];
        if it.jumps || it.is_still {
            return;
        }
        let wall = self.station_now(station).wall;
        self.stations[station].at_home.retain(|it| it.holds(wall));
        let is_laden = self.stations[station].at_home.len() >= AT_HOME_MAX;
        match self.dice.below(4) {
            _ if self.stations[station].asked_home.is_some() => self.ask_for_home_again(station),
            0 => self.bring_back(station),
            1 => self.show_again(station),
            _ if is_laden => {}
            _ => self.take_home(station),
        }
    }

    /// One of those who work on line, as often as the knobs say.
    fn who_works(&mut self, anybody: usize) -> usize {
        if !self.dice.permille(self.knobs.work.home_from_work_permille) {
            return anybody;
        }
        let at_work = |number: &usize| {
            let it = &self.stations[*number];
            !it.jumps && !it.is_still && self.holder_on_line(*number).is_some()
        };
        let at_work: Vec<_> = (0..self.stations.len()).filter(at_work).collect();
        match at_work.len() {
            0 => anybody,
            count => at_work[self.draw(count)],
        }
    }

    /// Who has the oldest seat on line there.
    fn holder_on_line(&self, station: usize) -> Option<&Holder> {
        let mut seats = self.stations[station].seats.iter();
        let now = self.station_now(station);
        let holds = |it: &Seat| it.session.state(now).is_some_and(|state| state.holds());
        seats.find(|(_, it)| holds(it)).map(|(_, it)| &it.holder)
    }

    fn take_home(&mut self, station: usize) {
        let fresh = self.fresh();
        let longest = self.knobs.terms.borrow_ms_max.0;
        let length = DurationMs(longest / 8 + self.dice.below(longest - longest / 8));
        let (nonce, token) = (fresh.nonce, fresh.token);
        let mut checkout = self.seat_to_take_home(station, nonce, token, length, 0);
        checkout.holder.display = self.dice.permille(700).then(|| ":0".to_owned());
        if let Some(holder) = self.holder_on_line(station) {
            checkout.holder.user.clone_from(&holder.user);
        }
        self.note(|| format!("station {station} wants to take a seat home for {length}"));
        self.stations[station].asked_home = Some(AskedHome(checkout));
        self.ask_for_home_again(station);
    }

    /// A lost answer costs no seat: the very same is asked again (L5).
    pub(crate) fn ask_for_home_again(&mut self, station: usize) {
        let Some(AskedHome(checkout)) = self.stations[station].asked_home.clone() else {
            return;
        };
        let nonce = checkout.nonce;
        let expected = Expected {
            borrowed: true,
            ..Expected::of_checkout(&checkout)
        };
        let wall = self.station_now(station).wall;
        let request = Request::Borrow(Borrow { checkout, wall });
        self.send_from_home(station, From::TakingHome(nonce), Some(expected), request);
        self.want_link(station);
    }

    /// Its holder uses it no more, whether the daemon hears of it or not.
    pub(super) fn bring_back(&mut self, station: usize) {
        let Some(it) = self.stations[station].at_home.pop() else {
            return;
        };
        let is_short = invariants::believers::goes_on_short(self, station, &it);
        self.watch.beliefs_changed = true;
        self.note(|| format!("station {station} brings {} back", it.lease.id));
        let request = Request::Release(Release {
            lease: it.lease.id,
            nonce: it.nonce,
            link: self.next_link(&it.lease),
        });
        self.send_from_home(station, From::BringingBack { is_short }, None, request);
    }

    /// Back on the network for a moment: the daemon is shown what it may have lost (L12).
    fn show_again(&mut self, station: usize) {
        let Some(it) = self.stations[station].at_home.last() else {
            return;
        };
        let (lease, nonce) = (it.lease.clone(), it.nonce);
        let request = Request::Attach(Attach {
            lease: unsigned(&lease),
            nonce,
            link: self.next_link(&lease),
            length_ms: None,
        });
        self.send_from_home(station, From::Showing, None, request);
    }

    /// Whoever has no connection sends nothing; a return that is not heard ends the use all the same.
    fn send_from_home(
        &mut self,
        station: usize,
        from: From,
        expected: Option<Expected>,
        request: Request,
    ) {
        let sent = self.station_now(station);
        let it = &mut self.stations[station];
        let Some(connection) = it.link.up() else {
            return;
        };
        it.wish += 1;
        let number = it.wish;
        let call = Call {
            from,
            expected: expected.into_iter().collect(),
            set: Vec::new(),
            sent,
        };
        it.calls.insert((connection, number), call);
        let message = FromClient::Request(number, Box::new(request));
        self.send_to_server(connection, &message);
    }

    pub(crate) fn answered_at_home(
        &mut self,
        station: usize,
        call: &Call,
        answer: Answer,
        may_be_lost: bool,
    ) {
        match (call.from, answer) {
            (From::TakingHome(nonce), Answer::Promised(promise)) => {
                let Ok((_, extended)) = self.usable(station, call, 0, &promise) else {
                    return;
                };
                self.taken_home(station, nonce, promise.lease, extended, may_be_lost);
            }
            (From::TakingHome(nonce), Answer::Refused(refusal)) => {
                self.note(|| format!("station {station} borrows nothing: {}", refusal.detail));
                if !passes(refusal.code) {
                    self.forget_asked(station, nonce);
                }
            }
            (From::BringingBack { is_short }, Answer::Released) => {
                self.figures.borrows_returned += 1;
                self.figures.returned_short += u64::from(is_short);
            }
            (From::BringingBack { .. }, Answer::Returned(_)) => {
                self.figures.borrows_returned += 1;
            }
            _ => {}
        }
    }

    /// The answer may come long after the question, and twice: the end is in the lease.
    fn taken_home(
        &mut self,
        station: usize,
        nonce: Nonce,
        lease: Lease,
        extended: Extended,
        may_be_lost: bool,
    ) {
        if !self.forget_asked(station, nonce) {
            return;
        }
        self.figures.borrows += 1;
        self.note(|| format!("station {station} took {} home", lease.id));
        self.stations[station].at_home.push(AtHome {
            lease,
            nonce,
            extended,
            may_be_lost,
            written_off: WrittenOff::No,
        });
        self.watch.beliefs_changed = true;
    }

    /// An administrator gives up hope of a seat that somebody took home.
    pub(crate) fn write_off_somebody(&mut self) {
        let at_home = self.stations.iter().flat_map(|it| &it.at_home);
        let counted = at_home.filter(|it| it.written_off == WrittenOff::No);
        let leases: Vec<_> = counted.map(|it| it.lease.id).collect();
        if leases.is_empty() {
            return;
        }
        let lease = leases[self.draw(leases.len())];
        self.note(|| format!("{lease} is written off"));
        let reason = "lost on the way".to_owned();
        let ticket = self.admin(AdminAsk::WriteOff { lease, reason });
        self.write_offs.insert(ticket, lease);
        self.set_written_off(lease, WrittenOff::Maybe);
    }

    pub(crate) fn answered_write_off(&mut self, lease: LeaseId, answer: &Answer) {
        match answer {
            Answer::Done => {
                self.figures.write_offs += 1;
                self.set_written_off(lease, WrittenOff::Yes);
            }
            // A write that failed may have reached the disk (L13).
            Answer::Refused(no) if no.code == RefusalCode::StorageTrouble => {}
            Answer::Refused(_) => self.set_written_off(lease, WrittenOff::No),
            _ => {}
        }
    }

    fn set_written_off(&mut self, lease: LeaseId, written_off: WrittenOff) {
        let mut at_home = self.stations.iter_mut().flat_map(|it| &mut it.at_home);
        if let Some(it) = at_home.find(|it| it.lease.id == lease) {
            it.written_off = written_off;
        }
        self.watch.beliefs_changed = true;
    }

    /// Whether that was what the station still waits for.
    fn forget_asked(&mut self, station: usize, nonce: Nonce) -> bool {
        let asked = &mut self.stations[station].asked_home;
        let is_it = asked.as_ref().is_some_and(|asked| asked.0.nonce == nonce);
        if is_it {
            *asked = None;
        }
        is_it
    }

    fn next_link(&mut self, lease: &Lease) -> Link {
        Link {
            previous: lease.token,
            next: self.fresh().token,
        }
    }

    /// Somebody sets the clocks right, as time servers do, where seats are taken home; on some machines only
    /// now and then.
    pub(crate) fn correct_clocks(&mut self) {
        let now = self.now;
        for number in 0..self.stations.len() {
            let station = &mut self.stations[number];
            if !station.jumps && !station.is_still {
                station.clock.correct_wall(now);
                self.feed_looks(number);
            }
        }
        if !self.is_still(Machine::Server) && !self.is_mixed_up() && self.dice.permille(500) {
            self.server.clock.correct_wall(now);
        }
        self.watch.beliefs_changed = true;
    }

    fn feed_looks(&mut self, station: usize) {
        for seat in self.seats_of(station) {
            self.look_soon(seat);
        }
    }

    /// A license ends while somebody holds a seat of it: counted once the server's clock is that far.
    pub(crate) fn license_ends(&mut self, expires: WallMs) {
        let left = expires.since(self.server_now().wall.plus(MOMENT));
        let is_out = |extended: &Option<Extended>| {
            let extended = extended.as_ref();
            extended.is_some_and(|it| it.expires == Some(expires))
        };
        if left > DurationMs::ZERO {
            return self.look_for_end(expires);
        }
        let held = (0..self.stations.len())
            .flat_map(|station| self.seats_of(station))
            .filter(|seat| self.holds(*seat))
            .any(|seat| is_out(&self.stations[seat.station].seats[&seat.number].extended));
        self.figures.licenses_ended += u64::from(held);
    }

    /// Looks again shortly before the server's wall clock shows that moment.
    pub(crate) fn look_for_end(&mut self, expires: WallMs) {
        let left = expires.since(self.server_now().wall.plus(MOMENT));
        let at = Moment(self.now.0 + left.0.max(1) * 1000);
        self.at(
            at,
            super::Event::Chance(super::Chance::LicenseEnds(expires)),
        );
    }
}

/// Whether it is the moment that is wrong: what was asked is asked again.
fn passes(code: RefusalCode) -> bool {
    matches!(
        code,
        RefusalCode::Busy | RefusalCode::Draining | RefusalCode::StorageTrouble
    )
}

/// Borrowed leases of one workstation at once.
const AT_HOME_MAX: usize = 2;

/// How long before its end a license is looked at.
const MOMENT: DurationMs = DurationMs::seconds(1);
