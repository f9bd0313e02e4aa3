//! The parts of the campaign: what each proves, how one slice of it is run, and when it has done enough.

use crate::ledger::Ledger;

/// One proof's long form.
#[derive(Debug)]
pub(crate) struct Part {
    /// As on the command line.
    pub(crate) name: &'static str,
    /// What it is, for the document.
    pub(crate) what: &'static str,
    /// Rounds of one slice, about a quarter of an hour on two cores at most.
    pub(crate) rounds: u64,
    /// When it has done enough.
    pub(crate) goal: Goal,
    /// Run from the root of the tree, with the seed and the rounds in `USHER_TEST_SEED` and `USHER_TEST_ROUNDS`.
    pub(crate) command: &'static [&'static str],
}

/// A figure and the sum at which it is enough, for each of these proofs.
#[derive(Debug)]
pub(crate) struct Goal {
    pub(crate) proofs: &'static [&'static str],
    pub(crate) figure: &'static str,
    pub(crate) count: u64,
}

impl Goal {
    /// Whether the slices so far come to it.
    pub(crate) fn is_reached(&self, ledger: &Ledger) -> bool {
        self.short(ledger).is_empty()
    }

    /// The proofs that have not enough.
    pub(crate) fn short(&self, ledger: &Ledger) -> Vec<&'static str> {
        let proofs = self.proofs.iter().copied();
        proofs
            .filter(|proof| ledger.sum(proof, self.figure) < self.count)
            .collect()
    }
}

/// Every part, in the order of the document.
pub(crate) const PARTS: &[Part] = &[
    Part {
        name: "simulation",
        what: "The real engine, core and client session in virtual time: random worlds with crashes, power cuts, a bad network, drifting, jumping and sleeping clocks, and administrators at work.",
        rounds: 250,
        goal: Goal {
            proofs: &["simulation"],
            figure: "simulated hours",
            count: 1_000_000,
        },
        command: &[
            "cargo",
            "test",
            "--release",
            "-p",
            "usher-simulation",
            "--test",
            "worlds",
            "--locked",
            "--",
            "--nocapture",
            "no_seat_is_used_twice",
        ],
    },
    Part {
        name: "model",
        what: "Every state of the lease protocol at 3 clients, 2 seats, 1 restart and 1 place in the queue; and the real engine taken along random ways of it.",
        rounds: 1_000,
        goal: Goal {
            proofs: &["the engine beside the model"],
            figure: "ways",
            count: 1_000,
        },
        command: &[
            "cargo",
            "test",
            "-p",
            "usher-model",
            "--locked",
            "--",
            "--nocapture",
        ],
    },
    Part {
        name: "kill",
        what: "The real daemon, killed with `kill -9` under load, three in ten times while it starts.",
        rounds: 10,
        goal: Goal {
            proofs: &["kill -9"],
            figure: "kills",
            count: 1_000,
        },
        command: &[
            "cargo",
            "test",
            "-p",
            "usher-tests",
            "--test",
            "trouble",
            "--locked",
            "--",
            "--nocapture",
            "crash::",
        ],
    },
    Part {
        name: "power",
        what: "Copies of the block device under a writing daemon, mounted again as a power cut would have left them.",
        rounds: 15,
        goal: Goal {
            proofs: &["power cuts"],
            figure: "rounds",
            count: 60,
        },
        command: &[
            "cargo",
            "test",
            "-p",
            "usher-tests",
            "--test",
            "trouble",
            "--locked",
            "--",
            "--nocapture",
            "power::",
        ],
    },
    Part {
        name: "storage",
        what: "A disk that fails or is full at one write, or gets space again; every file damaged in every way.",
        rounds: 1_000,
        goal: Goal {
            proofs: &["damaged files"],
            figure: "mutations",
            count: 10_000,
        },
        command: &[
            "cargo",
            "test",
            "-p",
            "usher-tests",
            "--test",
            "trouble",
            "--locked",
            "--",
            "--nocapture",
            "storage::",
        ],
    },
    Part {
        name: "restore",
        what: "Backup, restore and repair under load, borrowed seats among it.",
        rounds: 100,
        goal: Goal {
            proofs: &["restore drills"],
            figure: "restores and repairs",
            count: 1_000,
        },
        command: &[
            "cargo",
            "test",
            "-p",
            "usher-tests",
            "--test",
            "trouble",
            "--locked",
            "--",
            "--nocapture",
            "restore::",
        ],
    },
    Part {
        name: "fuzz",
        what: "Every parser, and the state behind a connection, fed with mutated bytes.",
        rounds: 10_000_000,
        goal: Goal {
            proofs: FUZZED,
            figure: "runs",
            count: 100_000_000,
        },
        command: &["tests/fuzz"],
    },
    Part {
        name: "floods",
        what: "Strangers and one greedy client press while known clients work, a minute each.",
        rounds: 3,
        goal: Goal {
            proofs: &["floods"],
            figure: "rounds",
            count: 3,
        },
        command: &[
            "cargo",
            "test",
            "--release",
            "-p",
            "usher-tests",
            "--test",
            "trouble",
            "--locked",
            "--",
            "--nocapture",
            "flood::",
        ],
    },
    Part {
        name: "network",
        what: "A rogue server, clones, and searches while the network is in trouble.",
        rounds: 5,
        goal: Goal {
            proofs: &["searches under trouble"],
            figure: "searches",
            count: 500,
        },
        command: &[
            "cargo",
            "test",
            "-p",
            "usher-tests",
            "--test",
            "trouble",
            "--locked",
            "--",
            "--nocapture",
            "impostor::",
            "discovery::",
        ],
    },
    Part {
        name: "mutants",
        what: "The engine and the protocol with one sign or condition changed at a time.",
        rounds: 1,
        goal: Goal {
            proofs: &["mutants"],
            figure: "hundredths of all changes",
            count: 100,
        },
        command: &["tests/mutants", "campaign"],
    },
];

/// Every target of `fuzz/`, as `tests/fuzz` calls its figures.
const FUZZED: &[&str] = &[
    "fuzz admin",
    "fuzz config",
    "fuzz documents",
    "fuzz engine",
    "fuzz flexnet",
    "fuzz frame",
    "fuzz lease_file",
    "fuzz license",
    "fuzz log_segment",
    "fuzz mdns_answer",
    "fuzz mdns_packet",
    "fuzz mdns_txt",
    "fuzz policy",
    "fuzz reply",
    "fuzz session",
    "fuzz signed",
    "fuzz store",
    "fuzz words",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slice::root;
    use std::fs;

    #[test]
    fn every_fuzz_target_has_a_goal() {
        let files = fs::read_dir(root().join("fuzz/fuzz_targets")).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut targets: Vec<_> = names
            .filter(|name| name != "seeds.rs")
            .map(|name| format!("fuzz {}", name.trim_end_matches(".rs")))
            .collect();
        targets.sort();
        assert_eq!(targets, FUZZED);
    }
}
