//! Programs that hold seats as an application does, each a process of its own, and what they believe.
//!
//! Decides what counts as believing: from the grant's arrival until the right's end or the moment the
//! program lets go, on the boot clock that all processes of a machine share. Must not ask the daemon.

use std::io::{BufRead, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::station::Station;

/// One line of a holder: what happened to one of its seats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Boot time in milliseconds: after an answer came, before a state was read or a seat let go.
    pub at: u64,
    /// The holder's own name for the seat.
    pub seat: String,
    /// What happened.
    pub what: What,
}

/// What may happen to a seat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// The program has found its server, before it asks for a seat; no seat is named.
    Connected,
    /// The checkout brought a lease.
    Granted(Belief),
    /// The right was extended, or had anew.
    Extended(Belief),
    /// The checkout brought a "no".
    Refused(No),
    /// The checkout came to nothing, and why.
    Failed(String),
    /// The guard was read.
    State(Mood, String),
    /// The guard reported a change.
    Changed(String),
    /// The program lets go from here on.
    Releasing,
    /// Whether the server acknowledged that.
    Released(bool),
    /// All turns of `work` are done.
    Done,
}

/// A right as the holder knows it, in boot milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Belief {
    /// The lease's id.
    pub lease: String,
    /// `c0` (L1).
    pub since: u64,
    /// `c0 + R`.
    pub end: u64,
}

/// A refusal as a program sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct No {
    /// Its stable name.
    pub code: String,
    /// All it says.
    pub text: String,
    /// Who is said to hold the seats, `user@host`.
    pub holders: Vec<String>,
    /// When one comes free.
    pub free_in_ms: Option<u64>,
}

/// A guard's state, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mood {
    /// Ours.
    Active,
    /// Ours, not being extended.
    Renewing,
    /// Not ours.
    Lost,
}

/// A running holder. Dropping it kills it.
pub struct Holder {
    child: Child,
    orders: ChildStdin,
    heard: Arc<Heard>,
}

#[derive(Default)]
struct Heard {
    events: Mutex<Vec<Event>>,
    news: Condvar,
}

impl Holder {
    /// Starts one; without a server's address it finds one by mDNS.
    pub fn start(station: &Station, vendor_key: &Path, server: Option<SocketAddr>) -> Self {
        let mut command = station.command("holder");
        command.arg(vendor_key);
        if let Some(server) = server {
            command.env("USHER_SERVER", server.to_string());
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let heard = Arc::new(Heard::default());
        let (lines, to) = (child.stdout.take().unwrap(), Arc::clone(&heard));
        thread::spawn(move || to.listen(BufReader::new(lines)));
        let orders = child.stdin.take().unwrap();
        Self {
            child,
            orders,
            heard,
        }
    }

    /// Gives an order; see `bin/holder.rs` for the words.
    pub fn tell(&mut self, order: &str) {
        self.orders
            .write_all(format!("{order}\n").as_bytes())
            .unwrap();
    }

    /// Waits until it is connected, as it was told.
    pub fn wait_connected(&self) {
        let is_end = |it: &&Event| matches!(it.what, What::Connected | What::Failed(_));
        let end = self.wait("connect", |events| events.iter().find(is_end).cloned());
        assert_eq!(end.what, What::Connected);
    }

    /// Checks a seat out and waits for the answer.
    pub fn checkout(&mut self, seat: &str, feature: &str) -> What {
        self.ask(&format!("checkout {seat} {feature}"), seat, is_answer)
    }

    /// Checks a seat out that must be granted.
    pub fn granted(&mut self, seat: &str, feature: &str) -> Belief {
        match self.checkout(seat, feature) {
            What::Granted(belief) => belief,
            other => panic!("{seat}: {other:?}"),
        }
    }

    /// Checks a seat out that must be refused.
    pub fn refused(&mut self, seat: &str, feature: &str) -> No {
        match self.checkout(seat, feature) {
            What::Refused(no) => no,
            other => panic!("{seat}: {other:?}"),
        }
    }

    /// Reads a guard.
    pub fn state(&mut self, seat: &str) -> (Mood, String) {
        let is_state = |what: &What| matches!(what, What::State(..));
        match self.ask(&format!("state {seat}"), seat, is_state) {
            What::State(mood, text) => (mood, text),
            other => panic!("{seat}: {other:?}"),
        }
    }

    /// Reads a guard until it says so.
    pub fn wait_for_mood(&mut self, seat: &str, wanted: Mood) {
        let mut said = String::new();
        for _ in 0..WAITS_MAX {
            let (mood, text) = self.state(seat);
            if mood == wanted {
                return;
            }
            said = text;
            thread::sleep(POLL);
        }
        panic!("{seat} is never {wanted:?}: {said}");
    }

    /// Gives a seat back, which must be acknowledged.
    pub fn release(&mut self, seat: &str) {
        let is_end = |what: &What| matches!(what, What::Released(_));
        let ended = self.ask(&format!("release {seat}"), seat, is_end);
        assert_eq!(ended, What::Released(true));
    }

    /// All it has said so far.
    pub fn events(&self) -> Vec<Event> {
        self.heard.events().clone()
    }

    /// Waits for something it says; returns what `find` found.
    pub fn wait<T>(&self, what: &str, find: impl Fn(&[Event]) -> Option<T>) -> T {
        self.heard.wait(what, find)
    }

    /// The right it knows last for a seat.
    pub fn belief(&self, seat: &str) -> Belief {
        let events = self.events();
        let mut beliefs = events
            .iter()
            .rev()
            .filter(|event| event.seat == seat)
            .filter_map(Event::belief);
        beliefs.next().unwrap().clone()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// `kill -9`; what it has said stays.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn ask(&mut self, order: &str, seat: &str, is_answer: impl Fn(&What) -> bool) -> What {
        let before = self.heard.events().len();
        self.tell(order);
        self.wait(order, |events| {
            let mut later = events[before..].iter();
            let answer = later.find(|event| event.seat == seat && is_answer(&event.what));
            answer.map(|event| event.what.clone())
        })
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Heard {
    fn listen(&self, lines: impl BufRead) {
        for line in lines.lines() {
            let Ok(line) = line else { break };
            let event = serde_json::from_str(&line).unwrap();
            self.events().push(event);
            self.news.notify_all();
        }
    }

    fn wait<T>(&self, what: &str, find: impl Fn(&[Event]) -> Option<T>) -> T {
        let mut events = self.events();
        for _ in 0..WAITS_MAX {
            if let Some(found) = find(&events) {
                return found;
            }
            let waited = self.news.wait_timeout(events, POLL);
            events = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        panic!("{what}: never heard; heard {:#?}", *events);
    }

    fn events(&self) -> std::sync::MutexGuard<'_, Vec<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Event {
    /// The right that it tells of.
    pub fn belief(&self) -> Option<&Belief> {
        match &self.what {
            What::Granted(belief) | What::Extended(belief) => Some(belief),
            _ => None,
        }
    }
}

/// True for what ends a checkout.
pub fn is_answer(what: &What) -> bool {
    matches!(what, What::Granted(_) | What::Refused(_) | What::Failed(_))
}

/// A time in which one holder believed that it held one lease: `from` up to, not including, `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The lease.
    pub lease: String,
    /// When its grant, or the end of its lapse, was known.
    pub from: u64,
    /// When the right ended or the holder let go.
    pub to: u64,
}

/// Everything that a holder believed to hold; a killed one believes until its right ends.
pub fn beliefs(events: &[Event]) -> Vec<Held> {
    let mut held: Vec<(&str, Held)> = Vec::new();
    for event in events {
        let last = held.iter_mut().rev().find(|(seat, _)| *seat == event.seat);
        match (&event.what, last) {
            (What::Extended(belief), Some((_, open)))
                if belief.lease == open.lease && belief.since <= open.to =>
            {
                open.to = belief.end;
            }
            (What::Granted(belief) | What::Extended(belief), _) => {
                let new = Held {
                    lease: belief.lease.clone(),
                    from: event.at,
                    to: belief.end,
                };
                held.push((&event.seat, new));
            }
            (What::Releasing, Some((_, open))) => open.to = open.to.min(event.at),
            _ => {}
        }
    }
    held.into_iter().map(|(_, held)| held).collect()
}

/// The most seats that were believed to be held at one instant, and when.
pub fn most_at_once(held: &[Held]) -> (usize, u64) {
    let starts = held.iter().map(|it| (it.from, it));
    let at = |moment: u64| {
        held.iter()
            .filter(|it| it.from <= moment && moment < it.to)
            .count()
    };
    let counted = starts.map(|(moment, _)| (at(moment), moment));
    counted.max().unwrap_or_default()
}

const POLL: Duration = Duration::from_millis(100);
const WAITS_MAX: u32 = 1800;

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at: u64, what: What) -> Event {
        let seat = "a".to_owned();
        Event { at, seat, what }
    }

    fn belief(since: u64, end: u64) -> Belief {
        let lease = "1-1".to_owned();
        Belief { lease, since, end }
    }

    #[test]
    fn a_belief_begins_with_the_grant_and_ends_with_the_right_or_the_release() {
        let events = [
            event(12, What::Granted(belief(10, 20))),
            event(17, What::Extended(belief(15, 25))),
            event(31, What::Extended(belief(30, 40))),
            event(35, What::Releasing),
        ];
        let held: Vec<_> = beliefs(&events).iter().map(|it| (it.from, it.to)).collect();
        assert_eq!(held, [(12, 25), (31, 35)]);
    }

    #[test]
    fn overlaps_are_counted_where_they_are_most() {
        let held = [(0, 10), (5, 15), (10, 20), (14, 15)].map(|(from, to)| Held {
            lease: String::new(),
            from,
            to,
        });
        assert_eq!(most_at_once(&held), (3, 14));
        assert_eq!(most_at_once(&[]), (0, 0));
    }
}
