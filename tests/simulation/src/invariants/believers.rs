//! Never more believers than seats (L): at no moment do clients that may use their seats believe in
//! more of them than the license allowed when each lease was last extended.

use std::collections::BTreeMap;

use usher_protocol::{documents::license::Grouping, ids::PublicKey};

use super::Violation;
use crate::world::World;

/// Counts who believes.
pub(crate) fn judge(world: &mut World) -> Result<(), Violation> {
    world.figures.judged += 1;
    let beliefs = beliefs(world);
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
            let what = format!(
                "{believed} seats of {limit} are believed in: {}",
                who.join(", ")
            );
            return Err(Violation::new(world, "believers", what));
        }
    }
    Ok(())
}

struct Belief {
    share: Share,
    seats: u32,
    limit: u32,
    who: String,
}

/// What counts once, as the license says (docs/formats.md, `grouping`).
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Share {
    One(usize, u64),
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
            let Some(extended) = &seat.extended else {
                continue;
            };
            if !seat.session.state(now).is_some_and(|state| state.holds()) {
                continue;
            }
            let (key, holder) = (station.key, &seat.holder);
            let share = match extended.grouping {
                Grouping::Process => Share::One(station.number, *number),
                Grouping::Host => Share::Host(key),
                Grouping::UserHost => Share::UserHost(key, holder.user.clone()),
                Grouping::User => Share::User(holder.user.clone()),
                Grouping::Display => Share::Display(key, holder.display.clone()),
            };
            beliefs.push(Belief {
                share,
                seats: seat.seats,
                limit: extended.limit,
                who: format!("{}/{number} with {}", station.number, seat.seats),
            });
        }
    }
    beliefs
}
