//! Never more believers than seats (L): at no moment do clients that may use their seats believe in
//! more of them than the license allowed when each lease was last extended. What is written off counts
//! apart, and never exceeds what the license allows to be (L10).

use std::collections::BTreeMap;

use usher_protocol::{
    documents::license::Grouping,
    ids::{Commit, Epoch, LeaseId, PublicKey},
    names::{FeatureName, LicenseId},
    wire::Holder,
};

use super::Violation;
use crate::{
    site,
    world::{AtHome, Station, World, WrittenOff},
};

/// Counts who believes.
pub(crate) fn judge(world: &mut World) -> Result<(), Violation> {
    world.figures.judged += 1;
    let mut pools: BTreeMap<Pool, Vec<Belief>> = BTreeMap::new();
    for belief in beliefs(world) {
        pools.entry(belief.pool.clone()).or_default().push(belief);
    }
    let wrong = pools.iter().find_map(|(pool, beliefs)| {
        let what = judge_pool(beliefs).err()?;
        Some(format!("of {} of {}: {what}", pool.1, pool.0))
    });
    match wrong.or_else(|| judge_written_off(world)) {
        None => Ok(()),
        Some(what) => Err(Violation::new(world, "believers", what)),
    }
}

fn judge_pool(beliefs: &[Belief]) -> Result<(), String> {
    // L7: a lease that was extended when fewer seats were there is judged among its like; with the
    // others, by what was there when they were extended.
    for limit in beliefs.iter().map(|belief| belief.limit) {
        let believed = cost(beliefs.iter().filter(|belief| belief.limit <= limit));
        if believed > limit {
            return Err(format!(
                "{believed} seats of {limit} are believed in: {}",
                names(beliefs)
            ));
        }
    }
    judge_beside_borrows(beliefs)
}

/// L7, L10: what is at home cannot be called back, so nobody on line is extended but by what it leaves of
/// the seats there are then, whatever there was when it was taken home.
fn judge_beside_borrows(beliefs: &[Belief]) -> Result<(), String> {
    for belief in beliefs.iter().filter(|belief| !belief.is_at_home) {
        let (limit, head) = (belief.limit, belief.head);
        let counts = |it: &Belief| {
            if it.is_at_home {
                !it.may_be_lost
            } else {
                it.limit <= limit
            }
        };
        let before = |it: &&Belief| it.head <= head && counts(it);
        let believed = cost(beliefs.iter().filter(before));
        if believed > limit {
            let (who, all) = (&belief.who, names(beliefs));
            return Err(format!(
                "{believed} seats of {limit} were believed in when {who} was extended: {all}"
            ));
        }
    }
    Ok(())
}

/// Seats of such beliefs, those of one share once.
fn cost<'a>(beliefs: impl Iterator<Item = &'a Belief>) -> u32 {
    let mut shares: BTreeMap<&Share, u32> = BTreeMap::new();
    for belief in beliefs {
        let seats = shares.entry(&belief.share).or_default();
        *seats = belief.seats.max(*seats);
    }
    shares.values().sum()
}

fn names(beliefs: &[Belief]) -> String {
    let who: Vec<_> = beliefs.iter().map(|belief| belief.who.as_str()).collect();
    who.join(", ")
}

/// Seats of the first feature of a license that are believed in, and how many of them at home.
pub(crate) fn out(world: &World, license: &LicenseId) -> (u32, u32) {
    let mut beliefs = beliefs(world);
    beliefs.retain(|it| it.pool.0 == *license && it.pool.1.as_str() == site::FEATURE);
    let at_home = cost(beliefs.iter().filter(|it| it.is_at_home));
    (cost(beliefs.iter()), at_home)
}

/// Whether somebody on line believes in the share of what is at home.
pub(crate) fn goes_on(world: &World, station: &Station, it: &AtHome) -> bool {
    let share = share_at_home(station, it);
    let beliefs = beliefs(world);
    let mut on_line = beliefs.iter().filter(|it| !it.is_at_home);
    on_line.any(|belief| belief.share == share && belief.pool == it.extended.pool)
}

/// The same, while more seats are believed in than its license has by now (L7).
pub(crate) fn goes_on_short(world: &World, station: usize, it: &AtHome) -> bool {
    let (license, feature) = &it.extended.pool;
    let (seats, _) = out(world, license);
    let terms = world.newest(license);
    let is_short = terms.is_some_and(|terms| seats > terms.limit(feature));
    is_short && goes_on(world, &world.stations[station], it)
}

/// Where more are known to be written off than may be; what a restore has put back is not known.
fn judge_written_off(world: &World) -> Option<String> {
    let mut pools: BTreeMap<&Pool, BTreeMap<Share, u32>> = BTreeMap::new();
    for station in world.stations.iter().filter(|it| !it.is_paused()) {
        let wall = world.station_now(station.number).wall;
        let sure = |it: &&AtHome| it.written_off == WrittenOff::Yes && !it.may_be_lost;
        let at_home = station.at_home.iter().filter(|it| it.holds(wall));
        for it in at_home.filter(sure) {
            let seats = pools
                .entry(&it.extended.pool)
                .or_default()
                .entry(share_at_home(station, it))
                .or_default();
            *seats = it.lease.seats.max(*seats);
        }
    }
    let allowed = world.knobs.terms.write_off;
    pools.iter().find_map(|(pool, shares)| {
        let seats: u32 = shares.values().sum();
        let what = || format!("{seats} seats of {} are written off, of {allowed}", pool.1);
        (seats > allowed).then(what)
    })
}

/// Of one license, one feature.
type Pool = (LicenseId, FeatureName);

struct Belief {
    pool: Pool,
    share: Share,
    seats: u32,
    limit: u32,
    /// When it was extended, or taken home, as the daemon counts.
    head: (Epoch, Commit),
    is_at_home: bool,
    may_be_lost: bool,
    who: String,
}

/// What counts once, as the license says (docs/formats.md, `grouping`).
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Share {
    One(usize, u64),
    Home(LeaseId),
    Host(PublicKey),
    UserHost(PublicKey, String),
    User(String),
    Display(PublicKey, Option<String>),
}

fn beliefs(world: &World) -> Vec<Belief> {
    let mut beliefs = Vec::new();
    for station in &world.stations {
        if station.is_paused() {
            continue;
        }
        let now = world.station_now(station.number);
        for (number, seat) in &station.seats {
            let holds = || seat.session.state(now).is_some_and(|state| state.holds());
            if let Some(extended) = seat.extended.as_ref().filter(|_| holds()) {
                let one = Share::One(station.number, *number);
                beliefs.push(Belief {
                    pool: extended.pool.clone(),
                    share: share(extended.grouping, station.key, &seat.holder, one),
                    seats: seat.seats,
                    limit: extended.limit,
                    head: extended.head,
                    is_at_home: false,
                    may_be_lost: seat.may_be_lost,
                    who: format!("{}/{number} with {}", station.number, seat.seats),
                });
            }
        }
        let at_home = station.at_home.iter().filter(|it| it.holds(now.wall));
        for it in at_home.filter(|it| it.written_off == WrittenOff::No) {
            let lease = &it.lease;
            beliefs.push(Belief {
                pool: it.extended.pool.clone(),
                share: share_at_home(station, it),
                seats: lease.seats,
                limit: it.extended.limit,
                head: (lease.id.epoch, lease.id.commit),
                is_at_home: true,
                may_be_lost: it.may_be_lost,
                who: format!("{} at home with {}", station.number, lease.seats),
            });
        }
    }
    beliefs
}

fn share_at_home(station: &Station, it: &AtHome) -> Share {
    let lease = &it.lease;
    share(
        lease.grouping,
        station.key,
        &lease.holder,
        Share::Home(lease.id),
    )
}

fn share(grouping: Grouping, key: PublicKey, holder: &Holder, one: Share) -> Share {
    match grouping {
        Grouping::Process => one,
        Grouping::Host => Share::Host(key),
        Grouping::UserHost => Share::UserHost(key, holder.user.clone()),
        Grouping::User => Share::User(holder.user.clone()),
        Grouping::Display => Share::Display(key, holder.display.clone()),
    }
}
