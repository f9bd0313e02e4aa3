//! What comes to a client: answers as its connection judges them, pushes as its driver passes them on.

use usher_client::session::{Answer as Told, Granted, Input, Outcome};
use usher_engine::api::{Answer, Promise};
use usher_protocol::{
    ids::Nonce,
    refusal::{Refusal, RefusalCode},
    wire::Push,
};

use super::{
    SeatId, World,
    network::{self, FromServer},
    station::{Call, Extended, From, Seat, unsigned},
};
use crate::{invariants, planted::Planted, site};

impl World {
    pub(crate) fn client_receives(&mut self, connection: u64, message: FromServer) {
        let Some(station) = self.connections.get(&connection).map(|it| it.station) else {
            return;
        };
        if self.stations[station].link.connection() != Some(connection) {
            return;
        }
        match message {
            FromServer::Answer(None, answer) => self.welcomed(station, connection, &answer),
            FromServer::Answer(Some(number), answer) => {
                // A reply nobody waits for any more is dropped.
                if let Some(call) = self.stations[station].calls.remove(&(connection, number)) {
                    self.answered((station, connection), &call, *answer);
                }
            }
            FromServer::Pushed(push) => self.pushed(station, *push),
        }
    }

    fn pushed(&mut self, station: usize, push: Push) {
        if let Some(input) = network::input(push) {
            self.feed_all(station, &input);
        }
    }

    /// As `connection::ask` turns a reply into an answer, without the signature (T2): clients and
    /// server of this world are honest.
    fn answered(&mut self, (station, connection): (usize, u64), call: &Call, answer: Answer) {
        // What a life that is over said last may be lost with its store, although it arrives after that (L12).
        let may_be_lost = !self.is_with_this_life(connection);
        let From::Seat(number, attempt) = call.from else {
            return self.answered_at_home(station, call, answer, may_be_lost);
        };
        let id = SeatId { station, number };
        let (told, extended) = self.told(id, call, answer);
        self.feed(id, Input::Answered(attempt, told));
        for extended in extended {
            self.extended(station, extended, may_be_lost);
        }
    }

    fn told(&mut self, id: SeatId, call: &Call, answer: Answer) -> (Told, Vec<Extended>) {
        let told = match answer {
            Answer::Promised(promise) => return self.judge_grant(id.station, call, &promise),
            Answer::PromisedAll(all) => return self.judge_set(id.station, call, &all),
            Answer::Queued(place) => Told::Queued(place),
            Answer::Left => Told::Left,
            Answer::Released => Told::Released,
            Answer::Refused(refusal) if self.is_renewed_all_the_same(&refusal) => {
                return self.promised_before(id, refusal);
            }
            Answer::Refused(refusal) => {
                self.figures.refusals += 1;
                self.note(|| format!("{id} is told {}", refusal.code.name()));
                if !call.set.is_empty() {
                    self.set_refused(id, &call.set, refusal.code);
                }
                Told::Refused(refusal)
            }
            other => {
                let why = format!("an answer to another question: {other:?}");
                Told::Unusable(why, None)
            }
        };
        (told, Vec::new())
    }

    /// Of a set that is refused nothing is lent.
    fn set_refused(&mut self, id: SeatId, set: &[Nonce], code: RefusalCode) {
        self.figures.sets_refused += 1;
        // A second copy of the question, or the same asked again, may have been granted.
        let seat = self.stations[id.station].seats.get(&id.number);
        let is_alone = seat.is_some_and(|seat| seat.sets_sent == 1);
        if is_alone && self.knobs.network.twice_permille == 0 {
            let outcome = invariants::sets_are_whole::judge(self, id.station, set, code);
            self.fault(outcome);
        }
    }

    /// The seat that took this promise in is judged by it from now on.
    fn extended(&mut self, station: usize, extended: Extended, may_be_lost: bool) {
        let mut seats = self.stations[station].seats.values_mut();
        let took = |seat: &Seat| {
            let held = seat.session.held();
            held.is_some_and(|held| held.granted.signed == extended.signed)
        };
        if let Some(seat) = seats.find(|seat| took(seat)) {
            seat.extended = Some(extended);
            seat.may_be_lost &= may_be_lost;
            self.figures.extensions += 1;
        }
    }

    fn is_renewed_all_the_same(&self, refusal: &Refusal) -> bool {
        match self.planted {
            Some(Planted::RenewedAfterEviction) => refusal.code == RefusalCode::Evicted,
            Some(Planted::RenewedAlthoughTooMany) => refusal.code == RefusalCode::Overcommitted,
            _ => false,
        }
    }

    /// What the seat was promised last, once more; by the license as it stands.
    fn promised_before(&self, id: SeatId, refusal: Box<Refusal>) -> (Told, Vec<Extended>) {
        let seat = self.stations[id.station].seats.get(&id.number);
        let held = seat.and_then(|seat| Some((seat.session.held()?, seat.extended.clone())));
        match held {
            Some((held, mut extended)) => {
                if let Some(it) = &mut extended {
                    let terms = self.newest(&it.pool.0);
                    it.limit = terms.map_or(it.limit, |terms| terms.limit(&it.pool.1));
                }
                let told = Told::Granted(Box::new(held.granted.clone()));
                (told, extended.into_iter().collect())
            }
            None => (Told::Refused(refusal), Vec::new()),
        }
    }

    fn judge_grant(
        &mut self,
        station: usize,
        call: &Call,
        promise: &Promise,
    ) -> (Told, Vec<Extended>) {
        match self.usable(station, call, 0, promise) {
            Ok((granted, extended)) => (Told::Granted(Box::new(granted)), vec![extended]),
            Err(why) => (Told::Unusable(why, Some(promise.lease.id)), Vec::new()),
        }
    }

    /// All leases of a set, or none: one that is not believed condemns the others.
    fn judge_set(
        &mut self,
        station: usize,
        call: &Call,
        promises: &[Promise],
    ) -> (Told, Vec<Extended>) {
        let named = || promises.iter().map(|it| Some(it.lease.id)).collect();
        if promises.len() != call.expected.len() {
            let why = format!("{} leases of {}", promises.len(), call.expected.len());
            return (Told::UnusableAll(why, named()), Vec::new());
        }
        let mut all = (Vec::new(), Vec::new());
        for (at, promise) in promises.iter().enumerate() {
            match self.usable(station, call, at, promise) {
                Ok((granted, extended)) => {
                    all.0.push(granted);
                    all.1.push(extended);
                }
                Err(why) => return (Told::UnusableAll(why, named()), Vec::new()),
            }
        }
        self.figures.sets += 1;
        (Told::GrantedAll(all.0), all.1)
    }

    /// A promise as its client judges it, and what it is judged by; or why it is not believed.
    pub(crate) fn usable(
        &mut self,
        station: usize,
        call: &Call,
        at: usize,
        promise: &Promise,
    ) -> Result<(Granted, Extended), String> {
        let lease = &promise.lease;
        let expected = call.expected.get(at).ok_or("not asked for")?;
        expected.check(lease).map_err(|error| error.to_string())?;
        if self.stations[station].link.epoch() != Some(lease.epoch) {
            return Err("of another life of the server".to_owned());
        }
        let Some(terms) = self.server.signed.get(&lease.license_hash) else {
            return Err("not endorsed".to_owned());
        };
        let longest = if lease.borrowed {
            terms.borrow_ms_max
        } else {
            terms.lease_ms
        };
        let mut length = lease.length_ms;
        if length > longest {
            return Err("too long".to_owned());
        }
        if self.planted == Some(Planted::RightFromReceipt) {
            let received = self.station_now(station).boot;
            length = length.plus(received.since(call.sent.boot));
        }
        let signed = unsigned(lease);
        let extended = Extended {
            signed: signed.clone(),
            head: (lease.epoch, lease.commit),
            pool: (lease.license.clone(), lease.feature.clone()),
            expires: terms.expires,
            limit: terms.limit(&lease.feature),
            grouping: lease.grouping,
        };
        let id = lease.id;
        self.figures.of_second_license += u64::from(terms.license != site::LICENSE);
        let outcome = invariants::nothing_outlives_its_license::judge(self, lease, &extended);
        self.fault(outcome);
        self.note(|| format!("station {station} is promised {id} for {length}"));
        let granted = Granted {
            id,
            site: site::site(),
            signed,
            license: lease.license.clone(),
            length,
            renew_after: promise.renew_after_ms,
            seats_out: promise.seats_out,
            seats_total: promise.seats_total,
        };
        Ok((granted, extended))
    }

    /// What became of a checkout or of a release.
    pub(crate) fn settle(&mut self, id: SeatId, outcome: &Outcome) {
        match outcome {
            Outcome::Granted => {
                self.figures.grants += 1;
                self.note(|| format!("{id} has its seat"));
                self.use_seat(id);
            }
            Outcome::Refused(refusal) => {
                self.note(|| format!("{id} is refused: {}", refusal.code.name()));
            }
            Outcome::Unusable(why) => self.note(|| format!("{id} believes no answer: {why}")),
            Outcome::Released => self.figures.releases += 1,
            Outcome::GaveUp => self.figures.given_up += 1,
        }
    }
}
