//! Never more believers than seats (L): at no moment do clients that may use their seats believe in
//! more of them than the license allowed when each lease was last extended. What is written off counts
//! apart, and never exceeds what the license allows to be (L10).

use std::collections::BTreeMap;

use usher_protocol::{
    documents::license::Grouping,
    ids::{LeaseId, PublicKey},
    names::{FeatureName, LicenseId},
    wire::Holder,
};

use super::Violation;
use crate::world::{AtHome, Station, World, WrittenOff};

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
        let mut shares: BTreeMap<&Share, u32> = BTreeMap::new();
        for belief in beliefs.iter().filter(|belief| belief.limit <= limit) {
            let seats = shares.entry(&belief.share).or_default();
            *seats = belief.seats.max(*seats);
        }
        let believed: u32 = shares.values().sum();
        if believed > limit {
            let who: Vec<_> = beliefs.iter().map(|belief| belief.who.as_str()).collect();
            return Err(format!(
                "{believed} seats of {limit} are believed in: {}",
                who.join(", ")
            ));
        }
    }
    Ok(())
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
