//! `mdns_txt`: the TXT record of a server, inside an answer that is else as it should be.

use usher_client::discover::fuzzing::reply;

/// Reads these bytes as the record's data.
pub fn run(data: &[u8]) {
    for told in reply(&answer(data), ID).unwrap_or_default() {
        super::mdns_answer::check(&told);
    }
}

/// A pointer, a server, an address, and this.
pub(crate) fn answer(txt: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 3];
    record(&mut bytes, SERVICE, 12, INSTANCE);
    let srv = [&[0, 0, 0, 0, 0x6b, 0x33], HOST].concat();
    record(&mut bytes, INSTANCE, 33, &srv);
    record(&mut bytes, HOST, 1, &[192, 0, 2, 7]);
    record(&mut bytes, INSTANCE, 16, txt);
    bytes
}

fn record(bytes: &mut Vec<u8>, name: &[u8], kind: u8, data: &[u8]) {
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(&[0, kind, 0, 1, 0, 0, 0, 120]);
    let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&data[..usize::from(length)]);
}

const ID: u16 = 0x1234;
const SERVICE: &[u8] = b"\x06_usher\x04_udp\x05local\0";
const INSTANCE: &[u8] = b"\x05lic01\x06_usher\x04_udp\x05local\0";
const HOST: &[u8] = b"\x07usher-1\x05local\0";
