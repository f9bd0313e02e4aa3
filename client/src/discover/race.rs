//! Decides which candidates are tried when, and when to give up. Whether one is genuine, the probe
//! alone decides (handshake and `Welcome`, T4): the first *authenticated* server wins.

use super::candidate::{Candidate, Origin};
use super::feed::{Feed, Lead, pause};
use super::limits::{ATTEMPTS_MAX, ATTEMPTS_PER_RESPONDER_MAX, FAILURES_MAX, STAGGER};
use super::outcome::{Failure, Found, NotFound, Reason, Survey};
use super::source::Source;
use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::{self, JoinError, JoinSet};

/// How long a hunt may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// For everything together.
    pub wait: Duration,
    /// How long one address keeps others waiting for their turn; it may itself answer later.
    pub attempt: Duration,
}

impl Default for Budget {
    /// 5 s in all; after 3 s of one address, which allow a handshake two retries, it is others' turn as well.
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(5),
            attempt: Duration::from_secs(3),
        }
    }
}

/// One address to be proven.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Where to connect.
    pub addr: SocketAddr,
    /// What is known of the server there.
    pub candidate: Arc<Candidate>,
}

/// Asks `sources` and probes what they name, at most 8 addresses at once; returns the first that
/// the probe proves and cancels the others.
///
/// # Errors
/// None was proven within `budget.wait`, or the sources are exhausted; every failure is in it.
pub async fn race<T, E, P, F>(
    sources: Vec<Source>,
    budget: Budget,
    probe: P,
) -> Result<Found<T>, NotFound<E>>
where
    P: Fn(Attempt) -> F,
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    let mut hunt = Hunt::open(sources, budget, probe);
    match tokio::time::timeout(budget.wait, hunt.next()).await {
        Ok(Some(found)) => Ok(found),
        Ok(None) | Err(_) => Err(hunt.give_up()),
    }
}

/// Like [`race`], but collects every server until `budget.wait` is over or the sources are
/// exhausted (the local network never is). A server with several addresses can come up more than
/// once: compare what was proven of it.
pub async fn survey<T, E, P, F>(sources: Vec<Source>, budget: Budget, probe: P) -> Survey<T, E>
where
    P: Fn(Attempt) -> F,
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    let mut hunt = Hunt::open(sources, budget, probe);
    let mut found = Vec::new();
    let collect = async {
        while let Some(one) = hunt.next().await {
            found.push(one);
        }
    };
    // Running out of time is how a survey of the network ends.
    let _ = tokio::time::timeout(budget.wait, collect).await;
    Survey {
        found,
        missed: hunt.give_up(),
    }
}

struct Hunt<T, E, P> {
    feed: Feed,
    feed_ended: bool,
    probe: P,
    budget: Budget,
    attempts: JoinSet<Verdict<T, E>>,
    pending: HashMap<task::Id, Pending>,
    turns: Arc<Semaphore>,
    turns_of: HashMap<(Origin, Option<IpAddr>), Arc<Semaphore>>,
    servers: HashMap<String, Arc<AtomicBool>>,
    failures: Vec<Failure<E>>,
    failures_left_out: usize,
}

/// What an attempt came to; `None` if it was not needed any more.
type Verdict<T, E> = Option<Result<T, Reason<E>>>;

/// An attempt that has not ended.
struct Pending {
    attempt: Attempt,
    started: Arc<AtomicBool>,
}

impl<T, E, P, F> Hunt<T, E, P>
where
    P: Fn(Attempt) -> F,
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    fn open(sources: Vec<Source>, budget: Budget, probe: P) -> Self {
        Self {
            feed: Feed::open(sources),
            feed_ended: false,
            probe,
            budget,
            attempts: JoinSet::new(),
            pending: HashMap::new(),
            turns: Arc::new(Semaphore::new(ATTEMPTS_MAX)),
            turns_of: HashMap::new(),
            servers: HashMap::new(),
            failures: Vec::new(),
            failures_left_out: 0,
        }
    }

    /// The next server proven; `None` when there is nothing left to try. Cancel-safe.
    async fn next(&mut self) -> Option<Found<T>> {
        loop {
            tokio::select! {
                lead = self.feed.next(), if !self.feed_ended => match lead {
                    Some(Lead::Candidate(candidate)) => self.take(candidate),
                    Some(Lead::Unresolved { origin, name, reason }) => {
                        self.fail(origin, name, None, Reason::Unresolved(reason));
                    }
                    None => self.feed_ended = true,
                },
                Some(ended) = self.attempts.join_next_with_id() => {
                    if let Some(found) = self.settle(ended) {
                        return Some(found);
                    }
                }
                else => return None,
            }
        }
    }

    fn take(&mut self, candidate: Candidate) {
        let proven = Arc::clone(self.servers.entry(candidate.name.clone()).or_default());
        let candidate = Arc::new(candidate);
        let same = |pending: &&Pending| pending.attempt.candidate.name == candidate.name;
        let before = self.pending.values().filter(same).count();
        for (n, addr) in (before..).zip(candidate.addrs.clone()) {
            let candidate = Arc::clone(&candidate);
            self.start(Attempt { addr, candidate }, n, Arc::clone(&proven));
        }
    }

    /// Starts an attempt behind `before` others at the same server.
    fn start(&mut self, attempt: Attempt, before: usize, proven: Arc<AtomicBool>) {
        // A stranger who uses a server's name delays it by this much at most.
        let delay = STAGGER * u32::try_from(before.min(3)).unwrap_or(3);
        let (turns, turns_of) = (Arc::clone(&self.turns), self.turns_of(&attempt.candidate));
        let started = Arc::new(AtomicBool::new(false));
        let pending = Pending {
            attempt: attempt.clone(),
            started: Arc::clone(&started),
        };
        let (probe, limit) = ((self.probe)(attempt), self.budget.attempt);
        let task = self.attempts.spawn(async move {
            pause(delay).await;
            let turn_of = match &turns_of {
                Some(turns_of) => Some(turns_of.acquire().await.ok()?),
                None => None,
            };
            let turn = turns.acquire().await.ok()?;
            // Proven over another address meanwhile: no second handshake.
            if proven.load(Ordering::Relaxed) {
                return None;
            }
            started.store(true, Ordering::Relaxed);
            let mut probe = pin!(probe);
            let result = if let Ok(result) = tokio::time::timeout(limit, &mut probe).await {
                result
            } else {
                // Others get its turn, and it keeps its chance until the hunt ends: to give up a server that is
                // only slow, and come again, would be what keeps it slow.
                drop((turn, turn_of));
                probe.await
            };
            let result = result.map_err(Reason::Refused);
            proven.fetch_or(result.is_ok(), Ordering::Relaxed);
            Some(result)
        });
        self.pending.insert(task.id(), pending);
    }

    /// What one host or the DNS has named shares a few turns; what nobody in particular has named does not.
    fn turns_of(&mut self, candidate: &Candidate) -> Option<Arc<Semaphore>> {
        let turns = || Arc::new(Semaphore::new(ATTEMPTS_PER_RESPONDER_MAX));
        let teller = match candidate.origin {
            // One answer, which may name what it likes.
            Origin::Dns => None,
            _ => Some(candidate.told_by?),
        };
        let of_teller = self.turns_of.entry((candidate.origin, teller));
        Some(Arc::clone(of_teller.or_insert_with(turns)))
    }

    fn settle(&mut self, ended: Result<(task::Id, Verdict<T, E>), JoinError>) -> Option<Found<T>> {
        let (id, result) = match ended {
            Ok((id, result)) => (id, result),
            Err(error) => (error.id(), Some(Err(Reason::Broken))),
        };
        let attempt = self.pending.remove(&id).map(|pending| pending.attempt);
        if self.pending.is_empty() {
            self.feed.idle.notify_one();
        }
        let Attempt { addr, candidate } = attempt?;
        match result? {
            Ok(value) => Some(Found {
                value,
                addr,
                candidate,
            }),
            Err(reason) => {
                self.fail(candidate.origin, candidate.name.clone(), Some(addr), reason);
                None
            }
        }
    }

    fn fail(&mut self, origin: Origin, name: String, addr: Option<SocketAddr>, reason: Reason<E>) {
        if self.failures.len() >= FAILURES_MAX {
            self.failures_left_out += 1;
            return;
        }
        self.failures.push(Failure {
            origin,
            name,
            addr,
            reason,
        });
    }

    /// Ends the hunt: what is still under way has not answered.
    fn give_up(mut self) -> NotFound<E> {
        let mut pending: Vec<_> = std::mem::take(&mut self.pending).into_values().collect();
        pending.sort_by_key(|pending| (pending.attempt.candidate.origin, pending.attempt.addr));
        for Pending { attempt, started } in pending {
            let proven = self.servers.get(&attempt.candidate.name);
            if proven.is_some_and(|proven| proven.load(Ordering::Relaxed)) {
                continue;
            }
            let reason = if started.load(Ordering::Relaxed) {
                Reason::NoAnswer(self.budget.wait)
            } else {
                Reason::NoTurn
            };
            let candidate = &attempt.candidate;
            self.fail(
                candidate.origin,
                candidate.name.clone(),
                Some(attempt.addr),
                reason,
            );
        }
        NotFound {
            failures: self.failures,
            failures_left_out: self.failures_left_out,
            dns: self.feed.dns.map(|report| Box::new(report.so_far())),
            mdns: self.feed.mdns.map(|report| report.lock().clone()),
            waited: self.budget.wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discover::Address;
    use std::sync::Mutex;
    use std::sync::atomic::AtomicUsize;

    fn named(list: &str) -> Vec<Source> {
        vec![Source::Addresses(
            Origin::Explicit,
            Address::parse_list(list).unwrap(),
        )]
    }

    fn budget(wait_ms: u64, attempt_ms: u64) -> Budget {
        Budget {
            wait: Duration::from_millis(wait_ms),
            attempt: Duration::from_millis(attempt_ms),
        }
    }

    /// Answers by the last number of the address: 1 proves itself, 2 refuses, 3 never answers, 4
    /// panics, 5 proves itself after 20 ms.
    async fn answer(attempt: Attempt) -> Result<u8, &'static str> {
        let IpAddr::V4(ip) = attempt.addr.ip() else {
            return Err("not v4");
        };
        match ip.octets()[3] {
            1 => Ok(1),
            2 => Err("wrong vendor"),
            3 => std::future::pending().await,
            4 => panic!("a fault in the probe"),
            _ => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Ok(5)
            }
        }
    }

    #[tokio::test]
    async fn the_first_proven_wins_whatever_the_others_do() {
        let sources = named("192.0.2.2, 192.0.2.4, 192.0.2.3, 192.0.2.1");
        let found = race(sources, budget(5000, 3000), answer).await.unwrap();
        assert_eq!(
            (found.value, found.addr.to_string().as_str()),
            (1, "192.0.2.1:27443")
        );
    }

    #[tokio::test]
    async fn the_preferred_of_a_list_has_a_head_start() {
        // Without one the second, which answers at once, would never lose; a machine that stalls for the head
        // start's length lets it win.
        for _ in 0..50 {
            let found = race(named("192.0.2.5, 192.0.2.1"), budget(5000, 3000), answer).await;
            if found.unwrap().value == 5 {
                return;
            }
        }
        panic!("the second of the list always wins");
    }

    #[tokio::test]
    async fn every_failure_is_kept_with_its_reason() {
        let sources = named("192.0.2.2, 192.0.2.3, 192.0.2.4, fe80::1%nosuchif");
        let missed = race(sources, budget(2000, 500), answer).await.unwrap_err();
        insta::assert_snapshot!(missed, @r"
        no license server found
          192.0.2.2:27443 (given): wrong vendor
          192.0.2.4:27443 (given): trying it failed inside usher; please report this
          [fe80::1%nosuchif]:27443 (given): this machine has no interface nosuchif that is up
          192.0.2.3:27443 (given): no answer within 2 s
        next: check that `usherd status` runs there and that UDP port 27443 is open to it
        ");
    }

    #[tokio::test]
    async fn the_wait_ends_the_hunt() {
        let missed = race(named("192.0.2.3"), budget(1000, 60_000), answer)
            .await
            .unwrap_err();
        assert_eq!(missed.failures.len(), 1);
        assert!(matches!(missed.failures[0].reason, Reason::NoAnswer(_)));
    }

    /// Ten of them: more than have a turn at once.
    #[tokio::test]
    async fn the_silent_give_others_their_turn_and_may_answer_late() {
        let silent: Vec<_> = (0..10).map(|n| format!("192.0.3.{n}")).collect();
        let late = |attempt: Attempt| async move {
            match attempt.addr.to_string().as_str() {
                "192.0.3.0:27443" => {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    Ok("late")
                }
                "192.0.2.1:27443" => Err("another vendor"),
                _ => std::future::pending().await,
            }
        };
        let sources = named(&format!("{}, 192.0.2.1", silent.join(", ")));
        let mut hunt = Hunt::open(sources, budget(60_000, 100), late);
        assert_eq!(hunt.next().await.unwrap().value, "late");
        assert_eq!(hunt.failures.len(), 1, "the last of the list had its turn");
    }

    #[tokio::test]
    async fn no_more_than_eight_at_once_and_three_of_one_host() {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let probe = |_: Attempt| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(20)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                Err::<(), _>("no")
            }
        };
        let mut hunt = Hunt::open(vec![], Budget::default(), probe);
        let hear = |n: u8, told_by: [u8; 4]| Candidate {
            origin: Origin::Mdns,
            name: format!("server {n}"),
            addrs: vec![SocketAddr::from(([192, 0, 2, n], 1))],
            hints: crate::discover::Hints::default(),
            told_by: Some(IpAddr::from(told_by)),
        };
        (0..8).for_each(|n| hunt.take(hear(n, [192, 0, 2, 66])));
        assert!(hunt.next().await.is_none());
        assert_eq!(most.swap(0, Ordering::SeqCst), ATTEMPTS_PER_RESPONDER_MAX);
        (0..32).for_each(|n| hunt.take(hear(n, [198, 51, 100, n])));
        assert!(hunt.next().await.is_none());
        assert_eq!(most.load(Ordering::SeqCst), ATTEMPTS_MAX);
    }

    #[tokio::test]
    async fn a_server_proven_over_one_address_is_left_alone_on_the_others() {
        let tried = Arc::new(Mutex::new(Vec::new()));
        let probe = |attempt: Attempt| {
            let tried = Arc::clone(&tried);
            async move {
                tried.lock().unwrap().push(attempt.addr);
                answer(attempt).await
            }
        };
        let mut hunt = Hunt::open(vec![], Budget::default(), probe);
        let candidate = |addrs: &[&str]| Candidate {
            origin: Origin::Mdns,
            name: "lic01".to_owned(),
            addrs: addrs.iter().map(|addr| addr.parse().unwrap()).collect(),
            hints: crate::discover::Hints::default(),
            told_by: None,
        };
        hunt.take(candidate(&["192.0.2.2:1"]));
        assert!(hunt.next().await.is_none());
        // The second waits for its turn while the first proves itself.
        hunt.take(candidate(&["192.0.2.1:1", "192.0.2.5:1"]));
        assert_eq!(hunt.next().await.unwrap().value, 1);
        assert!(hunt.next().await.is_none());
        assert_eq!(tried.lock().unwrap().len(), 2);
        assert!(hunt.give_up().failures.len() == 1);
    }

    #[tokio::test]
    async fn a_survey_collects_all() {
        let sources = named("192.0.2.1, 192.0.2.2, 192.0.2.5");
        let survey = survey(sources, budget(5000, 3000), answer).await;
        let mut values: Vec<_> = survey.found.iter().map(|found| found.value).collect();
        values.sort_unstable();
        assert_eq!((values, survey.missed.failures.len()), (vec![1, 5], 1));
    }
}
