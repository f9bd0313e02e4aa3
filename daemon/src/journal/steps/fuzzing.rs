//! Doors for `fuzz/`: files of steps without a store. Decides nothing.

use super::heading::Heading;
use super::record::StepRecord;
use super::replay;

const SEED: [u8; 16] = [7; 16];

/// Reads a file as a start does; what is read as steps is whole.
pub(in super::super) fn read(file: &[u8]) {
    for step in replay::of_file(file, 0).unwrap_or_default() {
        let (writes, entries) = (step.writes().count(), step.entries().count());
        assert_eq!((writes, entries), step.counts());
    }
}

/// A file whose heading holds, with one step in it whose checksum holds, whatever it says.
pub(in super::super) fn write(fixed: &[u8], pieces: &[u8]) -> Vec<u8> {
    let heading = Heading { seed: SEED }.encode();
    [&heading[..], &StepRecord::sealed(&SEED, fixed, pieces)].concat()
}
