//! In which order leases are shown: the words for it, and what is compared. Decides nothing about which are shown.

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::admin::protocol::LeaseReport;

/// A column, from its least or from its most. The usual one is as leases were granted, which costs nothing.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Order {
    column: Option<Column>,
    is_down: bool,
}

/// What leases are compared by. Equal ones stay as they were granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    User,
    Host,
    Feature,
    Seats,
    Since,
    FreeIn,
}

impl Order {
    /// As leases were granted.
    pub(super) fn is_usual(self) -> bool {
        self.column.is_none()
    }

    /// What a query says.
    pub(super) fn word(self) -> String {
        match self.column {
            None => String::new(),
            Some(column) if self.is_down => format!("{}{DOWN}", column.word()),
            Some(column) => column.word().to_owned(),
        }
    }

    /// What the heading of a column leads to: the column, and from there the other way.
    pub(super) fn next(self, column: Column) -> Self {
        Self {
            column: Some(column),
            is_down: self.column == Some(column) && !self.is_down,
        }
    }

    /// As `aria-sort` of a column.
    pub(super) fn of(self, column: Column) -> Option<&'static str> {
        match (self.column == Some(column), self.is_down) {
            (false, _) => None,
            (true, false) => Some("ascending"),
            (true, true) => Some("descending"),
        }
    }

    /// Puts them into this order.
    pub(super) fn sort(self, leases: &mut [LeaseReport]) {
        match self.column {
            None => {}
            Some(Column::User) => self.by(leases, |it| it.user.to_lowercase()),
            Some(Column::Host) => self.by(leases, |it| {
                (it.host.to_lowercase(), it.display.clone(), it.process)
            }),
            Some(Column::Feature) => self.by(leases, |it| it.feature.clone()),
            Some(Column::Seats) => self.by(leases, |it| it.seats),
            Some(Column::Since) => self.by(leases, |it| it.since),
            Some(Column::FreeIn) => self.by(leases, |it| it.free_in_ms),
        }
    }

    fn by<K: Ord>(self, leases: &mut [LeaseReport], key: impl Fn(&LeaseReport) -> K) {
        if self.is_down {
            leases.sort_by_cached_key(|it| std::cmp::Reverse(key(it)));
        } else {
            leases.sort_by_cached_key(key);
        }
    }
}

impl Column {
    /// All of them, as they stand beside each other.
    pub(super) const ALL: [Self; 6] = [
        Self::User,
        Self::Host,
        Self::Feature,
        Self::Seats,
        Self::Since,
        Self::FreeIn,
    ];

    /// Its heading.
    pub(super) const fn heading(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Host => "Host",
            Self::Feature => "Feature",
            Self::Seats => "Seats",
            Self::Since => "Since",
            Self::FreeIn => "Free in",
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Host => "host",
            Self::Feature => "feature",
            Self::Seats => "seats",
            Self::Since => "since",
            Self::FreeIn => "free-in",
        }
    }
}

/// Every order there is, with what a form calls it.
pub(super) fn all() -> Vec<(Order, String)> {
    let mut all = vec![(Order::default(), "as granted".to_owned())];
    for column in Column::ALL {
        for is_down in [false, true] {
            let name = column.heading().to_lowercase();
            let name = if is_down {
                format!("{name}, from the end")
            } else {
                name
            };
            let column = Some(column);
            all.push((Order { column, is_down }, name));
        }
    }
    all
}

impl<'de> Deserialize<'de> for Order {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        let found = all().into_iter().find(|(order, _)| order.word() == word);
        let found = found.ok_or_else(|| D::Error::custom("there is no such order"))?;
        Ok(found.0)
    }
}

const DOWN: &str = "-down";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::lease_report;

    #[test]
    fn every_order_is_read_back_and_no_other() {
        for (order, _) in all() {
            let read: Order = serde_json::from_value(order.word().into()).unwrap();
            assert_eq!(read, order);
        }
        assert!(serde_json::from_value::<Order>("user-up".into()).is_err());
    }

    #[test]
    fn equal_ones_stay_as_they_were_granted_whichever_way() {
        let lease = |number, user: &str| LeaseReport {
            user: user.to_owned(),
            ..lease_report(number)
        };
        let mut leases = [lease(1, "bert"), lease(2, "Anna"), lease(3, "anna")];
        let ids = |leases: &[LeaseReport]| leases.iter().map(|it| it.id).collect::<Vec<_>>();
        let [one, two, three] = [0, 1, 2].map(|index| leases[index].id);
        let up = Order::default().next(Column::User);
        up.sort(&mut leases);
        assert_eq!(ids(&leases), [two, three, one]);
        assert_eq!(up.of(Column::User), Some("ascending"));
        let down = up.next(Column::User);
        down.sort(&mut leases);
        assert_eq!(ids(&leases), [one, two, three]);
        assert_eq!(down.next(Column::User), up);
    }
}
