//! Does the asker have as many seats as a maximum of the policy allows? Waiting in the queue does not
//! help then: only the giving back of one of the counted seats does.

use usher_protocol::{
    ids::LeaseId,
    limits::HOLDERS_LISTED_MAX,
    refusal::{Refusal, RefusalCode},
    time::BootMs,
};

use crate::{
    decide::{Asker, Wish},
    earliest::Earliest,
    engine::Engine,
    explain::holder_view,
    limits::{COUNTED_LISTED_MAX, RECLAIMS_PER_INPUT},
    policy::{Counted, Maximum},
    step::{Step, no},
    tally::Count,
};

impl Engine {
    /// The first maximum, in the order of the file, that these seats would go beyond.
    pub(crate) fn check_maxima(
        &self,
        step: &Step,
        asker: &Asker<'_>,
        wish: &Wish,
    ) -> Result<(), Box<Refusal>> {
        if self.policy.maximum.is_empty() {
            return Ok(());
        }
        let seats_new = u64::from(self.seats_new(step, asker, wish));
        let beyond = |maximum: &Maximum| {
            let used = self.counted(wish, maximum).map_or(0, |count| count.seats);
            seats_new > 0 && used + seats_new > u64::from(maximum.seats)
        };
        match self.maxima(asker, wish).into_iter().find(beyond) {
            None => Ok(()),
            Some(maximum) => Err(self.maximum_reached(step, asker, wish, &maximum, seats_new)),
        }
    }

    /// Takes back leases that count and are over: they must not keep their holder from a new one.
    pub(crate) fn reclaim_counted(&mut self, step: &mut Step, asker: &Asker<'_>, wish: &Wish) {
        let maxima = self.maxima(asker, wish).into_iter();
        let counts = maxima.filter_map(|maximum| self.counted(wish, &maximum));
        let shares = counts.flat_map(|count| count.leases.iter().take(COUNTED_LISTED_MAX));
        let due: Vec<_> = shares
            .flat_map(|oldest| self.state.sharing(*oldest))
            .filter(|id| self.is_due(step, *id))
            .take(RECLAIMS_PER_INPUT)
            .collect();
        for id in due {
            if self.is_due(step, id) {
                self.reclaim(step, id);
            }
        }
    }

    fn maxima(&self, asker: &Asker<'_>, wish: &Wish) -> Vec<Maximum> {
        let feature = self.state.feature_path(&wish.key);
        self.policy.maxima(&feature, &asker.subject())
    }

    fn counted(&self, wish: &Wish, maximum: &Maximum) -> Option<&Count> {
        self.state.tally.of_maximum(&wish.key, maximum)
    }

    fn maximum_reached(
        &self,
        step: &Step,
        asker: &Asker<'_>,
        wish: &Wish,
        maximum: &Maximum,
        seats_new: u64,
    ) -> Box<Refusal> {
        let (nothing, known) = (Count::default(), self.counted(wish, maximum));
        let count = known.unwrap_or(&nothing);
        let feature = self.state.feature_path(&wish.key);
        let most = u64::from(maximum.seats);
        let who = match maximum.counted {
            Counted::User(_) => format!("the user {}", asker.holder.user),
            Counted::Host(_) => format!("the host {}", asker.holder.host),
            Counted::Group => "all whom the rule names".to_owned(),
        };
        let way_out = if seats_new > 1 {
            "give one back, or ask for fewer"
        } else {
            "give one back"
        };
        let detail = format!(
            "{seats_new} more of {feature} and {} out for {who} would be more than the {most} that the site's policy allows; {way_out}",
            count.seats
        );
        let mut refusal = no(RefusalCode::MaximumReached, detail);
        refusal.rule = Some(self.policy.rule_of_maximum(maximum.rule));
        let ends = self.counted_ends(count);
        self.list_counted(step, &mut refusal, count, &ends);
        let missing = (count.seats + seats_new).saturating_sub(most);
        // More at once than it allows is more than can ever be given back: no moment then.
        if count.leases.len() <= COUNTED_LISTED_MAX {
            let ends = ends.into_iter().map(|(end, _)| end);
            let earliest = self.earliest_of(ends.collect(), missing);
            self.tell_earliest(step, &mut refusal, earliest);
        }
        let pools = self.state.serving(&wish.key).first();
        refusal.support = pools.and_then(|index| crate::explain::support(self.state.pool(*index)));
        refusal
    }

    /// When the shares that count end, as far as they are worth looking at; each by its oldest lease.
    fn counted_ends(&self, count: &Count) -> Vec<(Earliest, LeaseId)> {
        let shares = count.leases.iter().take(COUNTED_LISTED_MAX);
        shares
            .filter_map(|oldest| Some((self.state.share_end(*oldest)?, *oldest)))
            .collect()
    }

    /// The counted leases that end first, and how many more there are.
    fn list_counted(
        &self,
        step: &Step,
        refusal: &mut Refusal,
        count: &Count,
        ends: &[(Earliest, LeaseId)],
    ) {
        let mut ends: Vec<_> = ends.iter().map(|(end, oldest)| (end.at, *oldest)).collect();
        if ends.len() > HOLDERS_LISTED_MAX {
            ends.select_nth_unstable(HOLDERS_LISTED_MAX);
            ends.truncate(HOLDERS_LISTED_MAX);
        }
        ends.sort_unstable();
        let more = count.leases.len() - ends.len();
        refusal.holders_more = u32::try_from(more).unwrap_or(u32::MAX);
        let view = |(at, oldest): (BootMs, _)| {
            let entry = self.state.leases.get(&oldest)?;
            Some(holder_view(entry, at.since(step.now.boot)))
        };
        refusal.holders = ends.into_iter().filter_map(view).collect();
    }
}
