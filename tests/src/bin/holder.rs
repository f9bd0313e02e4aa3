//! A program that holds seats, as small as an application can be, for tests: `holder VENDOR.pub`.
//!
//! It obeys one order a line and says what happens to its seats, one JSON object a line:
//! `connect` · `checkout SEAT FEATURE` · `state SEAT` · `release SEAT` · `work SEAT FEATURE TURNS HOLD_MS` (check
//! out until granted, hold, give back, so many times). At the end of its orders it ends, and its
//! guards with it. Must decide nothing about its leases: it asks its guards.

#![expect(
    clippy::unwrap_used,
    reason = "test support: what cannot be done must fail the test that asked for it"
)]

use std::collections::BTreeMap;
use std::io::{Write as _, stdin, stdout};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use std::{env, fs};

use usher_client::blocking::{Client, Seat};
use usher_client::clock::Clock;
use usher_client::{Error, State};
use usher_tests::holder::{Belief, Event, Mood, No, What};

fn main() {
    let mut holder = Program {
        vendor_key: fs::read(env::args_os().nth(1).unwrap()).unwrap(),
        client: None,
        seats: Arc::default(),
    };
    let seats = Arc::clone(&holder.seats);
    thread::spawn(move || watch(&seats));
    for order in stdin().lines() {
        holder.obey(&order.unwrap());
    }
    holder.seats.lock().unwrap().clear();
}

struct Program {
    vendor_key: Vec<u8>,
    client: Option<Client>,
    seats: Seats,
}

/// The seats by our own names for them.
type Seats = Arc<Mutex<BTreeMap<String, Seat>>>;

impl Program {
    fn obey(&mut self, order: &str) {
        let words: Vec<_> = order.split_whitespace().collect();
        match words[..] {
            ["connect"] => self.connect(),
            ["checkout", seat, feature] => drop(self.checkout(seat, feature)),
            ["state", seat] => self.state(seat),
            ["release", seat] => self.release(seat),
            ["work", seat, feature, turns, hold_ms] => {
                let hold = Duration::from_millis(hold_ms.parse().unwrap());
                self.work(seat, feature, turns.parse().unwrap(), hold);
            }
            _ => unreachable!("no such order: {order}"),
        }
    }

    fn connect(&mut self) {
        let until = Clock::new().boot().0 + 1000 * PATIENCE.as_secs();
        let connected = loop {
            let client = self.client();
            if !matches!(client, Err(Error::NotFound(_))) || Clock::new().boot().0 >= until {
                break client;
            }
        };
        say(
            "",
            match connected {
                Ok(_) => What::Connected,
                Err(error) => What::Failed(error.to_string()),
            },
        );
    }

    /// Returns whether it was granted.
    fn checkout(&mut self, name: &str, feature: &str) -> bool {
        let until = Clock::new().boot().0 + 1000 * PATIENCE.as_secs();
        let granted = loop {
            let client = self.client();
            let answer = client.and_then(|it| it.checkout(feature).patience(PATIENCE).send());
            // A server that restarts is not found for a moment.
            if !matches!(answer, Err(Error::NotFound(_))) || Clock::new().boot().0 >= until {
                break answer;
            }
        };
        let at = Clock::new().boot().0;
        match granted {
            Ok(seat) => {
                let told = name.to_owned();
                seat.on_change(move |change| {
                    say(&told, What::Changed(change.to_string()));
                });
                let belief = belief(&seat);
                say_at(at, name, What::Granted(belief));
                self.seats.lock().unwrap().insert(name.to_owned(), seat);
                true
            }
            Err(error) => {
                say_at(at, name, no(&error));
                false
            }
        }
    }

    fn state(&self, name: &str) {
        let at = Clock::new().boot().0;
        let state = self.seats.lock().unwrap()[name].state();
        let mood = match &state {
            State::Active => Mood::Active,
            State::Renewing(_) => Mood::Renewing,
            _ => Mood::Lost,
        };
        say_at(at, name, What::State(mood, state.to_string()));
    }

    fn release(&self, name: &str) {
        let seat = self.seats.lock().unwrap().remove(name).unwrap();
        say(name, What::Releasing);
        say(name, What::Released(seat.release().is_ok()));
    }

    fn work(&mut self, name: &str, feature: &str, turns: u32, hold: Duration) {
        for _ in 0..turns {
            while !self.checkout(name, feature) {
                thread::sleep(hold);
            }
            thread::sleep(hold);
            self.release(name);
        }
        say(name, What::Done);
    }

    /// One client for all seats, connected at first need.
    fn client(&mut self) -> Result<Client, Error> {
        if self.client.is_none() {
            let builder = usher_client::Client::builder(&self.vendor_key)?;
            let builder = builder.test_licenses().patience(PATIENCE);
            self.client = Some(Client::build(builder)?);
        }
        Ok(self.client.clone().unwrap())
    }
}

/// Tells of each extension, soon after it came.
fn watch(seats: &Mutex<BTreeMap<String, Seat>>) {
    let mut told = BTreeMap::new();
    loop {
        thread::sleep(WATCH);
        for (name, seat) in seats.lock().unwrap().iter() {
            let belief = belief(seat);
            if told.get(name) != Some(&belief) {
                say(name, What::Extended(belief.clone()));
                told.insert(name.clone(), belief);
            }
        }
    }
}

fn belief(seat: &Seat) -> Belief {
    let seat = seat.as_async();
    // Both readings must be of one grant.
    loop {
        let (right, lease) = (seat.right().unwrap(), seat.id().unwrap());
        if seat.right() == Some(right) {
            return Belief {
                lease: lease.to_string(),
                since: right.since.boot.0,
                end: right.end().0,
            };
        }
    }
}

fn no(error: &Error) -> What {
    let Error::Refused(refusal) = error else {
        return What::Failed(error.to_string());
    };
    let holders = refusal.holders.iter();
    What::Refused(No {
        code: refusal.code.name().to_owned(),
        text: error.to_string(),
        holders: holders
            .map(|holder| format!("{}@{}", holder.user, holder.host))
            .collect(),
        free_in_ms: refusal.earliest_free_ms.map(|length| length.0),
    })
}

fn say(seat: &str, what: What) {
    say_at(Clock::new().boot().0, seat, what);
}

fn say_at(at: u64, seat: &str, what: What) {
    let seat = seat.to_owned();
    let mut line = serde_json::to_string(&Event { at, seat, what }).unwrap();
    line.push('\n');
    // Nobody hears a test that has ended.
    let _ = stdout().lock().write_all(line.as_bytes());
}

const PATIENCE: Duration = Duration::from_mins(2);
const WATCH: Duration = Duration::from_millis(50);
