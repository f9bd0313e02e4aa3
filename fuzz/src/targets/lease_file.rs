//! `lease_file`: the lease file of a workstation, which others may have edited (T6).

use usher_protocol::documents::lease_file::LeaseFile;

/// Reads the text; what is taken reads back.
pub fn run(data: &[u8]) {
    let Some(text) = super::text(data) else {
        return;
    };
    match text.parse::<LeaseFile>() {
        Ok(file) => {
            let again = file.to_text().unwrap();
            assert_eq!(again.parse::<LeaseFile>(), Ok(file));
        }
        Err(error) => drop(error.to_string()),
    }
}
