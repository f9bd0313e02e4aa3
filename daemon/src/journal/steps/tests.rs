//! Files on a real disk: what was appended is read again, in turns, grown, cut, damaged.

use std::fs;

use super::*;
use crate::journal::Write;

#[test]
fn s1_steps_are_read_again_in_order_over_many_turns() {
    let store = tempfile::tempdir().unwrap();
    let mut steps = Steps::prepare(store.path(), BYTES).unwrap();
    for sequence in 1..=100 {
        // Sled has all but the last three.
        let settled = sequence - 1_u64.min(sequence);
        append(&mut steps, sequence, settled.saturating_sub(2));
        let held = sequence.saturating_sub(3);
        let found = read(store.path(), held).unwrap();
        assert!(found.damage.is_none(), "{:?}", found.damage);
        let found: Vec<_> = found
            .steps
            .iter()
            .map(|step| step.place().sequence)
            .collect();
        assert_eq!(found, (held + 1..=sequence).collect::<Vec<_>>());
    }
    for path in paths(store.path()) {
        assert_eq!(
            fs::metadata(path).unwrap().len(),
            BYTES,
            "sled was never behind for long"
        );
    }
}

#[test]
fn a3_a_file_grows_while_sled_is_behind_and_not_without_end() {
    let store = tempfile::tempdir().unwrap();
    let mut steps = Steps::prepare(store.path(), BYTES).unwrap();
    let mut last = 0;
    while steps.waits_for(STEP_BYTES).is_none() {
        last += 1;
        append(&mut steps, last, 0);
    }
    let found = read(store.path(), 0).unwrap();
    assert_eq!(
        found.steps.len() as u64,
        last,
        "what sled has not is never written over"
    );
    let grown: u64 = paths(store.path())
        .iter()
        .map(|path| fs::metadata(path).unwrap().len())
        .sum();
    assert!(grown <= (1 + GROWTH_MAX) * BYTES, "{grown}");
    // Once sled has what the other file holds, its turn comes.
    let due = steps.waits_for(STEP_BYTES).unwrap();
    append(&mut steps, last + 1, due);
    assert_eq!(steps.waits_for(STEP_BYTES), None);
    assert_eq!(
        read(store.path(), due).unwrap().steps.len() as u64,
        last + 1 - due
    );
    drop(steps);
    Steps::prepare(store.path(), BYTES).unwrap();
    let lengths = paths(store.path()).map(|path| fs::metadata(path).unwrap().len());
    assert_eq!(lengths, [BYTES; 2], "the next life begins with short files");
}

#[test]
fn a_torn_last_step_is_none_and_one_missing_before_others_is_damage() {
    let store = tempfile::tempdir().unwrap();
    let mut steps = Steps::prepare(store.path(), BYTES).unwrap();
    for sequence in 1..=4 {
        append(&mut steps, sequence, 0);
    }
    let path = &paths(store.path())[0];
    let whole = fs::read(path).unwrap();
    let at = |index: usize| heading::HEADING_LENGTH + index * STEP_BYTES;
    for index in 0..4 {
        let mut bytes = whole.clone();
        bytes[at(index) + STEP_BYTES - 20] ^= 4;
        fs::write(path, bytes).unwrap();
        let left = read(store.path(), 0).unwrap();
        assert_eq!(left.steps.len(), index);
        let said = left.damage.map(|error| error.to_string());
        if index == 3 {
            assert_eq!(
                said, None,
                "what was cut off with the last step was not acknowledged"
            );
        } else {
            let said = said.unwrap();
            assert!(
                said.contains(&format!("step {} is lost", index + 1))
                    && said.contains("usherd repair"),
                "{said}"
            );
        }
        let held = index as u64 + 1;
        assert!(
            read(store.path(), held).unwrap().damage.is_none(),
            "sled has what was damaged"
        );
    }
}

/// What a client has had stored may look like a step, byte for byte.
#[test]
fn a_step_within_a_step_is_none() {
    let store = tempfile::tempdir().unwrap();
    let mut steps = Steps::prepare(store.path(), BYTES).unwrap();
    let forged = StepRecord::new(&[0; 16], place(3), &batch(), &[]).unwrap();
    let mut carrier = batch();
    carrier.writes[0].value = Some([&[0; 3][..], forged.bytes()].concat());
    for sequence in 1..=2 {
        let step = steps.step(place(sequence), &carrier, &[]).unwrap();
        steps.append(&step, 0).unwrap();
    }
    let path = &paths(store.path())[0];
    let mut bytes = fs::read(path).unwrap();
    let places: Vec<_> = (0..bytes.len())
        .step_by(record::STEP_ALIGN)
        .filter(|at| bytes[*at..].starts_with(forged.bytes()))
        .collect();
    assert_eq!(places.len(), 2, "it stands where a step may begin");
    // The step around it is torn.
    bytes[places[1] - 16] ^= 1;
    fs::write(path, bytes).unwrap();
    let left = read(store.path(), 0).unwrap();
    assert!(left.damage.is_none(), "{:?}", left.damage);
    assert_eq!(left.steps.len(), 1);
}

#[test]
fn steps_of_an_earlier_life_are_none() {
    let store = tempfile::tempdir().unwrap();
    let mut steps = Steps::prepare(store.path(), BYTES).unwrap();
    append(&mut steps, 1, 0);
    assert_eq!(read(store.path(), 0).unwrap().steps.len(), 1);
    Steps::prepare(store.path(), BYTES).unwrap();
    assert_eq!(read(store.path(), 0).unwrap().steps.len(), 0);
}

fn append(steps: &mut Steps, sequence: u64, settled: u64) {
    let step = steps
        .step(place(sequence), &batch(), &[b"an event".to_vec()])
        .unwrap();
    assert_eq!(step.bytes().len(), STEP_BYTES);
    steps.append(&step, settled).unwrap();
}

fn place(sequence: u64) -> Place {
    Place {
        sequence,
        epoch: 1,
        head: sequence,
        last_number: sequence,
    }
}

fn batch() -> Batch {
    let write = Write {
        key: b"a key".to_vec(),
        value: Some(vec![7; 107]),
    };
    Batch {
        writes: vec![write],
        ..Batch::default()
    }
}

const BYTES: u64 = 4096;
/// Of the step that `append` makes.
const STEP_BYTES: usize = 192;
