//! What comes to a client: answers as its connection judges them, pushes as its driver passes them on.

use usher_client::session::{Answer as Told, Granted, Input, Outcome};
use usher_engine::api::{Answer, Promise};
use usher_protocol::{
    refusal::{Refusal, RefusalCode},
    wire::Push,
};

use super::{
    SeatId, World,
    network::{self, FromServer},
    station::{Call, Extended, unsigned},
};
use crate::{planted::Planted, site};

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
        let id = SeatId {
            station,
            number: call.seat,
        };
        let (told, extended) = match answer {
            Answer::Promised(promise) => self.judge_grant(station, call, &promise),
            Answer::Queued(place) => (Told::Queued(place), None),
            Answer::Left => (Told::Left, None),
            Answer::Released => (Told::Released, None),
            Answer::Refused(refusal) if self.is_renewed_all_the_same(&refusal) => {
                self.promised_before(id, refusal)
            }
            Answer::Refused(refusal) => {
                self.figures.refusals += 1;
                self.note(|| format!("{id} is told {}", refusal.code.name()));
                (Told::Refused(refusal), None)
            }
            other => {
                let why = format!("an answer to another question: {other:?}");
                (Told::Unusable(why, None), None)
            }
        };
        self.feed(id, Input::Answered(call.attempt, told));
        let Some(extended) = extended else {
            return;
        };
        // What a life that is over said last may be lost with its store, although it arrives after that (L12).
        let may_be_lost = !self.is_with_this_life(connection);
        let seat = self.stations[station].seats.get_mut(&id.number);
        if let Some(seat) = seat
            && seat
                .session
                .held()
                .is_some_and(|held| held.granted.signed == extended.signed)
        {
            seat.extended = Some(extended);
            seat.may_be_lost &= may_be_lost;
            self.figures.extensions += 1;
        }
    }

    fn is_renewed_all_the_same(&self, refusal: &Refusal) -> bool {
        let is_planted = self.planted == Some(Planted::RenewedAfterEviction);
        is_planted && refusal.code == RefusalCode::Evicted
    }

    /// What the seat was promised last, once more.
    fn promised_before(&self, id: SeatId, refusal: Box<Refusal>) -> (Told, Option<Extended>) {
        let seat = self.stations[id.station].seats.get(&id.number);
        let held = seat.and_then(|seat| Some((seat.session.held()?, seat.extended.clone())));
        match held {
            Some((held, extended)) => (Told::Granted(Box::new(held.granted.clone())), extended),
            None => (Told::Refused(refusal), None),
        }
    }

    fn judge_grant(
        &mut self,
        station: usize,
        call: &Call,
        promise: &Promise,
    ) -> (Told, Option<Extended>) {
        let lease = &promise.lease;
        let unusable = |why: String| (Told::Unusable(why, Some(lease.id)), None);
        let Some(expected) = &call.expected else {
            return unusable("not asked for".to_owned());
        };
        if let Err(error) = expected.check(lease) {
            return unusable(error.to_string());
        }
        if self.stations[station].link.epoch() != Some(lease.epoch) {
            return unusable("of another life of the server".to_owned());
        }
        let Some(terms) = self.server.signed.get(&lease.license_hash) else {
            return unusable("not endorsed".to_owned());
        };
        let mut length = lease.length_ms;
        if length > terms.lease_ms {
            return unusable("too long".to_owned());
        }
        if self.planted == Some(Planted::RightFromReceipt) {
            let received = self.station_now(station).boot;
            length = length.plus(received.since(call.sent.boot));
        }
        let signed = unsigned(lease);
        let extended = Extended {
            signed: signed.clone(),
            limit: terms.limit(),
            grouping: lease.grouping,
        };
        let id = lease.id;
        self.note(|| format!("station {station} is promised {id} for {length}"));
        let granted = Granted {
            id: lease.id,
            site: site::site(),
            signed,
            license: lease.license.clone(),
            length,
            renew_after: promise.renew_after_ms,
            seats_out: promise.seats_out,
            seats_total: promise.seats_total,
        };
        (Told::Granted(Box::new(granted)), Some(extended))
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
