//! The pools in `usherd status`: each seat is counted in one column, so that a row adds up.

use usher_client::clock::WallMs;

use crate::{
    admin::{
        glance::IdleReserved,
        protocol::{PoolReport, ReservationReport},
    },
    cli::print::{Column, Table, plain, seats, until},
};

/// All pools; what no pool has of a kind has no column.
pub(super) fn table(pools: &[PoolReport], license_time: WallMs) -> String {
    let mut idle = IdleReserved::default();
    let rows: Vec<_> = pools
        .iter()
        .map(|pool| row(pool, idle.take(pool), license_time))
        .collect();
    Table::of(COLUMNS, &rows)
}

/// The policy's reservations, with their lines.
pub(super) fn reservations(reservations: &[ReservationReport]) -> String {
    let rows: Vec<_> = reservations
        .iter()
        .map(|it| {
            [
                plain(&it.feature),
                it.seats.to_string(),
                it.used.to_string(),
                it.seats.saturating_sub(it.used).to_string(),
                plain(&it.who),
                format!("{}:{}", it.file.display(), it.line),
            ]
        })
        .collect();
    Table::of(RESERVED, &rows)
}

fn row(pool: &PoolReport, reserved: u32, license_time: WallMs) -> [String; 14] {
    let free = pool
        .free
        .map(|free| free.saturating_sub(reserved).to_string());
    let overdraft = match pool.overdraft_used {
        0 => String::new(),
        used => format!("{used} of {}", pool.overdraft),
    };
    [
        plain(&pool.feature),
        seats(pool.seats),
        pool.out.to_string(),
        free.unwrap_or_else(|| "unlimited".to_owned()),
        reserved.to_string(),
        pool.offered.to_string(),
        pool.lingering.to_string(),
        pool.borrowed.to_string(),
        overdraft,
        pool.queued.to_string(),
        pool.held.to_string(),
        until(pool.expires),
        pool.license.to_string(),
        note(pool, license_time),
    ]
}

fn note(pool: &PoolReport, license_time: WallMs) -> String {
    let has_expired = pool.expires.is_some_and(|end| end <= license_time);
    let mut words = Vec::new();
    if pool.overcommitted {
        words.push("OVERCOMMITTED".to_owned());
    } else if has_expired {
        words.push("EXPIRED".to_owned());
    }
    if let Some(reason) = &pool.suspended {
        words.push(match plain(reason).as_str() {
            "" => "SUSPENDED".to_owned(),
            reason => format!("SUSPENDED: {reason}"),
        });
    }
    if pool.written_off > 0 {
        words.push(format!("{} written off", pool.written_off));
    }
    words.join("; ")
}

const COLUMNS: [Column; 14] = [
    Column::Left("FEATURE"),
    Column::Right("SEATS"),
    Column::Right("USED"),
    Column::Right("FREE"),
    Column::RightIfAny("RESERVED"),
    Column::RightIfAny("OFFERED"),
    Column::RightIfAny("LINGERING"),
    Column::RightIfAny("BORROWED"),
    Column::RightIfAny("OVERDRAFT"),
    Column::RightIfAny("QUEUED"),
    Column::Right("HELD"),
    Column::Left("EXPIRES"),
    Column::Left("LICENSE"),
    Column::Left("NOTE"),
];

const RESERVED: [Column; 6] = [
    Column::Left("RESERVED"),
    Column::Right("SEATS"),
    Column::Right("USED"),
    Column::Right("IDLE"),
    Column::Left("FOR"),
    Column::Left("RULE"),
];
