//! `mdns_packet`: any packet on the mDNS port, as the library reads it that daemon and client listen with.

use mdns_sd::RRType;

/// Reads the packet.
pub fn run(data: &[u8]) {
    let mut packet = data.to_vec();
    name_questions(&mut packet);
    mdns_sd::fuzz_api::parse_packet(&packet);
}

/// Gives questions of unknown kinds a known one: the library passes them over, and its own door asserts that it
/// does not.
fn name_questions(packet: &mut [u8]) {
    let Some(header) = packet.first_chunk::<12>() else {
        return;
    };
    let count = u16::from_be_bytes([header[4], header[5]]);
    let mut at = 12;
    for _ in 0..count {
        at = end_of_name(packet, at);
        let Some(kind) = packet.get_mut(at..at + 2) else {
            return;
        };
        if RRType::from_u16(u16::from_be_bytes([kind[0], kind[1]])).is_none() {
            kind.copy_from_slice(&[0, 12]);
        }
        at += 4;
    }
}

fn end_of_name(packet: &[u8], mut at: usize) -> usize {
    loop {
        match packet.get(at) {
            None => return at,
            Some(0) => return at + 1,
            Some(length) if length & 0xc0 == 0xc0 => return at + 2,
            Some(length) => at += 1 + usize::from(*length),
        }
    }
}
