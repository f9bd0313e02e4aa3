//! A disk that keeps what was synced and may lose what was not. Knows nothing of what is in a file.

use usher_tests::proof::Dice;

/// One file that is only ever appended to, cut or replaced as a whole.
#[derive(Debug, Default, Clone)]
pub(crate) struct File {
    /// What a power cut cannot take.
    durable: Vec<u8>,
    /// Writes in the page cache, in order.
    unsynced: Vec<Vec<u8>>,
}

impl File {
    /// Writes at the end, into the page cache.
    pub(crate) fn append(&mut self, bytes: Vec<u8>) {
        self.unsynced.push(bytes);
    }

    /// What was written is durable on return.
    pub(crate) fn sync(&mut self) {
        for bytes in self.unsynced.drain(..) {
            self.durable.extend_from_slice(&bytes);
        }
    }

    /// What a process reads: the page cache over the disk.
    pub(crate) fn read(&self) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        for write in &self.unsynced {
            bytes.extend_from_slice(write);
        }
        bytes
    }

    /// The same, made durable first, from `from` on.
    pub(crate) fn synced_from(&mut self, from: usize) -> &[u8] {
        self.sync();
        &self.durable[from..]
    }

    /// Cuts what is beyond `length`, durably.
    pub(crate) fn cut(&mut self, length: usize) {
        self.sync();
        self.durable.truncate(length);
    }

    /// Puts other contents in its place at once, as a synced file renamed over it does.
    pub(crate) fn replace(&mut self, bytes: Vec<u8>) {
        self.durable = bytes;
        self.unsynced.clear();
    }

    /// The power goes: of what was not synced a part is there, and the last of it may be torn or
    /// other bytes altogether.
    pub(crate) fn lose_power(&mut self, dice: &mut Dice) {
        let kept = draw(dice, self.unsynced.len() + 1);
        let mut lost = std::mem::take(&mut self.unsynced).into_iter();
        for bytes in lost.by_ref().take(kept) {
            self.durable.extend_from_slice(&bytes);
        }
        let Some(torn) = lost.next().filter(|torn| !torn.is_empty()) else {
            return;
        };
        let length = draw(dice, torn.len());
        match dice.below(3) {
            0 => self.durable.extend_from_slice(&torn[..length]),
            // The length grew before the data came.
            1 => self.durable.resize(self.durable.len() + length, 0),
            _ => {}
        }
    }
}

fn draw(dice: &mut Dice, end: usize) -> usize {
    usize::try_from(dice.below(end as u64)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s1_a_power_cut_takes_at_most_what_was_not_synced() {
        let mut lost = 0;
        for seed in 0..200 {
            let mut file = File::default();
            file.append(b"kept".to_vec());
            file.sync();
            file.append(b"maybe".to_vec());
            assert_eq!(file.read(), b"keptmaybe");
            file.lose_power(&mut Dice::new(seed));
            assert_eq!(&file.read()[..4], b"kept");
            lost += u32::from(file.read() != b"keptmaybe");
        }
        assert!(lost > 50, "{lost}");
    }
}
