//! An old copy of the server's machine is started in its place, its clock as old as its disk, and the right
//! one again after a while. Whoever has seen a later epoch believes nothing that it says (L12).
//!
//! Workstations that have seen none later are not on the network meanwhile: that nobody can know better than
//! they do is no fault of anybody's. Who is on it is decided by what welcomed it, not by its marks.

use usher_protocol::{
    names::LicenseId,
    time::{DurationMs, WallMs},
};

use super::{Chance, Crash, Event, World};
use crate::storage::Storage;

/// A snapshot of the server's machine.
pub(crate) struct Image {
    disk: Storage,
    wall: WallMs,
}

/// The right machine, while it is off.
pub(crate) struct Mixup {
    disk: Storage,
    wall_leads_ms: i64,
    /// Nothing up to this epoch comes from the right machine's last life.
    epoch_below: u64,
}

impl World {
    /// An old machine is running.
    pub(crate) fn is_mixed_up(&self) -> bool {
        self.mixup.is_some()
    }

    /// Whether the workstation may be on the network with the machine that is running.
    pub(crate) fn meets_the_machine(&self, station: usize) -> bool {
        let Some(mixup) = &self.mixup else {
            return true;
        };
        let mut seen = self.stations[station].seen.values();
        seen.any(|(_, epoch)| epoch.0 >= mixup.epoch_below)
    }

    /// Whether it can know better than that machine, which is endorsed by that issue of a license.
    pub(crate) fn knows_the_right_machine(
        &self,
        station: usize,
        license: &LicenseId,
        serial: u64,
    ) -> bool {
        let Some(mixup) = &self.mixup else {
            return true;
        };
        let seen = self.stations[station].seen.get(license);
        seen.is_some_and(|(seen, epoch)| *seen >= serial && epoch.0 >= mixup.epoch_below)
    }

    /// Somebody takes a snapshot, or starts one by mistake.
    pub(crate) fn take_or_start_image(&mut self) {
        match self.old_machine.take() {
            Some(image) => match self.mixes_up(&image) {
                Some(length) => self.start_old_machine(image, length),
                None => self.old_machine = Some(image),
            },
            None => {
                self.old_machine = Some(Image {
                    disk: self.image(),
                    wall: self.server_now().wall,
                });
            }
        }
    }

    /// How long the old machine may run before it could reach an epoch that was seen. None: it is not old
    /// enough, and nobody could tell it from the right one.
    fn mixes_up(&mut self, image: &Image) -> Option<DurationMs> {
        let epoch = self.server.life.as_ref()?.works.life().epoch.0;
        let stored = image.disk.state().epoch;
        let old_until = epoch.checked_sub(MARGIN)?;
        let length = self.draw_length(1).min(DurationMs::hours(2));
        let ends = image.wall.plus(length).unix_seconds();
        let is_old = stored < old_until && ends < old_until;
        (is_old && !self.server.is_still).then_some(length)
    }

    fn start_old_machine(&mut self, image: Image, length: DurationMs) {
        let Some(life) = &self.server.life else {
            return;
        };
        let epoch_below = life.works.life().epoch.0;
        self.note(|| format!("an old copy of the server's machine is started for {length}"));
        self.figures.mixups += 1;
        self.figures.mixups_of_two += u64::from(self.knobs.second.is_some());
        self.server.is_starting = true;
        self.end_life(Crash::Process);
        let now = self.now;
        let mut disk = self.server.storage.lock();
        self.mixup = Some(Mixup {
            disk: std::mem::replace(&mut *disk, image.disk),
            wall_leads_ms: self.server.clock.wall_leads_ms(now),
            epoch_below,
        });
        drop(disk);
        let wall = self.server_now().wall;
        let back_ms = i64::try_from(wall.0.abs_diff(image.wall.0)).unwrap_or(0);
        let sign = if image.wall < wall { -1 } else { 1 };
        self.server.clock.jump_wall(now, sign * back_ms);
        self.server.clock.reboot(now);
        self.after(length, Event::Chance(Chance::RightMachine));
        self.start_server();
    }

    /// The mistake is found.
    pub(crate) fn start_right_machine(&mut self) {
        let Some(mixup) = self.mixup.take() else {
            return;
        };
        self.note(|| "the right machine runs again".to_owned());
        self.server.is_starting = true;
        self.end_life(Crash::Process);
        *self.server.storage.lock() = mixup.disk;
        let now = self.now;
        let by_ms = mixup.wall_leads_ms - self.server.clock.wall_leads_ms(now);
        self.server.clock.jump_wall(now, by_ms);
        self.server.clock.reboot(now);
        self.start_server();
    }
}

/// So many epochs at least are between what the old machine can reach and what was seen.
const MARGIN: u64 = 100;
