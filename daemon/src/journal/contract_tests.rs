//! The contract suite on each backend, and what only the one on disk promises.

mod memory {
    use super::super::contract::{Place, contract_tests};
    use super::super::{MemoryJournal, MemoryStore};

    struct Shared(MemoryStore);

    impl Place for Shared {
        type Opened = MemoryJournal;
        fn new() -> Self {
            Self(MemoryStore::default())
        }
        fn open(&self) -> MemoryJournal {
            MemoryJournal::open(&self.0)
        }
        fn events(&self) -> Vec<Vec<u8>> {
            self.0.events()
        }
    }

    contract_tests!(Shared);
}

mod on_sled {
    use std::path::Path;

    use super::super::contract::{Place, contract_tests, life, set};
    use super::super::{
        Batch, Journal, JournalError, KEY_BYTES_MAX, SledJournal, SledOptions, StorePaths,
    };
    use crate::usage::Reader;

    struct Directory(tempfile::TempDir);

    impl Place for Directory {
        type Opened = SledJournal;
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }
        fn open(&self) -> SledJournal {
            // Small segments, so that rotation is part of every case.
            let options = SledOptions {
                segment_bytes_max: 2000,
                ..SledOptions::default()
            };
            SledJournal::open(self.0.path(), &options).unwrap()
        }
        fn events(&self) -> Vec<Vec<u8>> {
            let log = StorePaths::new(self.0.path()).usage;
            Reader::open(&log, None)
                .unwrap()
                .map(|entry| entry.unwrap().body)
                .collect()
        }
    }

    contract_tests!(Directory);

    #[test]
    fn two_processes_never_share_a_directory() {
        let place = Directory::new();
        let journal = place.open();
        let second = SledJournal::open(place.0.path(), &SledOptions::default());
        assert!(
            matches!(second, Err(JournalError::Fenced { .. })),
            "{second:?}"
        );
        drop(journal);
        place.open().acquire(0).unwrap();
    }

    #[test]
    fn no_value_leaves_the_log_for_an_unsynced_file() {
        let place = Directory::new();
        let (mut journal, _) = life(&place);
        for round in 0..40 {
            let value = "v".repeat(17_000 + round);
            let key = |n: usize| format!("{n:0>KEY_BYTES_MAX$}");
            let writes = (0..20).map(|n| set(&key(n), &value)).collect();
            journal
                .commit(
                    1,
                    1,
                    &Batch {
                        writes,
                        ..Default::default()
                    },
                )
                .unwrap();
        }
        let blobs = StorePaths::new(place.0.path()).store.join("blobs");
        assert_eq!(count(&blobs), 0);
    }

    fn count(directory: &Path) -> usize {
        std::fs::read_dir(directory).unwrap().count()
    }
}
