//! Decides what an mDNS message says of Usher servers: encodes the one-shot query (RFC 6762 §6.7)
//! and reads its replies. Input is hostile: bounded, never a panic, and nothing in it is believed.

use super::candidate::{Hints, printable};
use super::limits::{CANDIDATE_ADDRS_MAX, CANDIDATES_MAX, PACKET_BYTES_MAX, PACKET_RECORDS_MAX};
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, ResourceRecord, TYPE};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The service type all servers advertise, as the DNS writes it, in `local.`.
pub const SERVICE: &str = "_usher._udp.local.";

/// One server of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Advert {
    /// Instance name, printable.
    pub(super) instance: String,
    /// UDP port, never 0.
    pub(super) port: u16,
    /// Addresses the reply gives for its host; may be empty, at most 8.
    pub(super) ips: Vec<IpAddr>,
    /// Its TXT record.
    pub(super) hints: Hints,
}

/// Why a message is no reply of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("longer than an mDNS message may be")]
    TooLong,
    #[error("its header announces more records than it can hold")]
    TooMany,
    #[error("it is not an answer to our query")]
    NotOurs,
    #[error("it cannot be decoded")]
    Undecodable,
}

/// The query: one PTR question, from an ephemeral port, so that each server answers at once and to
/// us alone. `id` comes back in the replies.
pub(super) fn query(id: u16) -> Result<Vec<u8>, simple_dns::SimpleDnsError> {
    let mut packet = Packet::new_query(id);
    packet.questions.push(Question::new(
        Name::new(SERVICE)?,
        QTYPE::TYPE(TYPE::PTR),
        QCLASS::CLASS(CLASS::IN),
        false,
    ));
    packet.build_bytes_vec()
}

/// Reads a reply to the query with `id`: every server it describes down to the port.
pub(super) fn parse_reply(bytes: &[u8], id: u16) -> Result<Vec<Advert>, Malformed> {
    check_header(bytes)?;
    let packet = Packet::parse(bytes).map_err(|_| Malformed::Undecodable)?;
    if packet.id() != id || !packet.has_flags(PacketFlag::RESPONSE) {
        return Err(Malformed::NotOurs);
    }
    let service = Name::new(SERVICE).map_err(|_| Malformed::Undecodable)?;
    let records: Vec<_> = packet
        .answers
        .iter()
        .chain(&packet.additional_records)
        .collect();
    let adverts = records
        .iter()
        // A goodbye has no time to live.
        .filter(|record| record.ttl > 0 && record.name == service)
        .filter_map(|record| match &record.rdata {
            RData::PTR(instance) => advert(&instance.0, &service, &records),
            _ => None,
        });
    Ok(adverts.take(CANDIDATES_MAX).collect())
}

/// The decoder reserves memory by the counts in the header, so they are judged before.
fn check_header(bytes: &[u8]) -> Result<(), Malformed> {
    if bytes.len() > PACKET_BYTES_MAX {
        return Err(Malformed::TooLong);
    }
    let header = bytes.first_chunk::<12>().ok_or(Malformed::Undecodable)?;
    let counts = header[4..].chunks_exact(2);
    let records: usize = counts
        .map(|c| usize::from(c[0]) << 8 | usize::from(c[1]))
        .sum();
    if records > PACKET_RECORDS_MAX {
        return Err(Malformed::TooMany);
    }
    Ok(())
}

fn advert(
    instance: &Name<'_>,
    service: &Name<'_>,
    records: &[&ResourceRecord<'_>],
) -> Option<Advert> {
    let one_label_more = instance.as_bytes().count() == service.as_bytes().count() + 1;
    if !instance.is_subdomain_of(service) || !one_label_more {
        return None;
    }
    let label = instance.as_bytes().next()?;
    let srv = records.iter().find_map(|record| match &record.rdata {
        RData::SRV(srv) if record.name == *instance => Some(srv),
        _ => None,
    })?;
    if srv.port == 0 {
        return None;
    }
    Some(Advert {
        instance: printable(&String::from_utf8_lossy(label), 63),
        port: srv.port,
        ips: ips(&srv.target, records),
        hints: hints(instance, records),
    })
}

fn ips(host: &Name<'_>, records: &[&ResourceRecord<'_>]) -> Vec<IpAddr> {
    let of_host = records.iter().filter(|record| record.name == *host);
    let ips = of_host.filter_map(|record| match &record.rdata {
        RData::A(a) => Some(IpAddr::from(Ipv4Addr::from(a.address))),
        RData::AAAA(aaaa) => Some(IpAddr::from(Ipv6Addr::from(aaaa.address))),
        _ => None,
    });
    ips.take(CANDIDATE_ADDRS_MAX).collect()
}

fn hints(instance: &Name<'_>, records: &[&ResourceRecord<'_>]) -> Hints {
    let mut hints = Hints::default();
    for record in records.iter().filter(|record| record.name == *instance) {
        if let RData::TXT(txt) = &record.rdata {
            for (key, value) in txt.iter_raw() {
                hints.take(key, value.unwrap_or_default());
            }
        }
    }
    hints
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use simple_dns::rdata::{A, AAAA, PTR, SRV, TXT};

    const ID: u16 = 0x1234;

    fn record<'a>(name: &'a str, ttl: u32, rdata: RData<'a>) -> ResourceRecord<'a> {
        ResourceRecord::new(Name::new(name).unwrap(), CLASS::IN, ttl, rdata)
    }

    fn reply(ttl: u32, port: u16) -> Vec<u8> {
        let (instance, host) = (r"lic\.01._usher._udp.local", "usher-1.local");
        let mut packet = Packet::new_reply(ID);
        let name = Name::new(instance).unwrap();
        packet
            .answers
            .push(record(SERVICE, ttl, RData::PTR(PTR(name))));
        let target = Name::new(host).unwrap();
        let srv = SRV {
            priority: 0,
            weight: 0,
            port,
            target,
        };
        let txt = TXT::new().with_string("v=1").unwrap();
        let txt = txt.with_string("roots=deadbeef").unwrap();
        let v4 = A {
            address: Ipv4Addr::new(192, 0, 2, 7).into(),
        };
        let v6 = AAAA {
            address: "fe80::7".parse::<Ipv6Addr>().unwrap().into(),
        };
        packet.additional_records = vec![
            record(instance, 10, RData::SRV(srv)),
            record(instance, 10, RData::TXT(txt)),
            record(host, 10, RData::A(v4)),
            record(host, 10, RData::AAAA(v6)),
            record("other.local", 10, RData::A(A { address: 1 })),
        ];
        packet.build_bytes_vec_compressed().unwrap()
    }

    #[test]
    fn the_query_is_one_ptr_question() {
        let hex = data_encoding::HEXLOWER.encode(&query(ID).unwrap());
        insta::assert_snapshot!(hex, @"123400000001000000000000065f7573686572045f756470056c6f63616c00000c0001");
    }

    #[test]
    fn a_reply_gives_the_server_with_its_addresses_and_hints() {
        let adverts = parse_reply(&reply(10, 27443), ID).unwrap();
        assert_eq!(adverts.len(), 1);
        assert_eq!(adverts[0].instance, "lic.01");
        assert_eq!(adverts[0].port, 27443);
        let ips: Vec<_> = adverts[0].ips.iter().map(ToString::to_string).collect();
        assert_eq!(ips, ["192.0.2.7", "fe80::7"]);
        assert_eq!(adverts[0].hints.roots, ["deadbeef"]);
    }

    #[test]
    fn a_goodbye_a_closed_port_and_another_id_give_nothing() {
        assert_eq!(parse_reply(&reply(0, 27443), ID), Ok(vec![]));
        assert_eq!(parse_reply(&reply(10, 0), ID), Ok(vec![]));
        assert_eq!(parse_reply(&reply(10, 27443), 1), Err(Malformed::NotOurs));
        assert_eq!(
            parse_reply(&query(ID).unwrap(), ID),
            Err(Malformed::NotOurs)
        );
    }

    #[test]
    fn sizes_are_judged_before_anything_is_decoded() {
        assert_eq!(parse_reply(&[0; 9001], ID), Err(Malformed::TooLong));
        assert_eq!(parse_reply(&[0; 11], ID), Err(Malformed::Undecodable));
        let mut many = reply(10, 1);
        many[6] = 0xff;
        assert_eq!(parse_reply(&many, ID), Err(Malformed::TooMany));
    }

    #[test]
    fn an_instance_of_another_service_or_depth_is_ignored() {
        for name in [
            "x._other._udp.local",
            "a.b._usher._udp.local",
            "_usher._udp.local",
        ] {
            let mut packet = Packet::new_reply(ID);
            let target = Name::new("h.local").unwrap();
            let srv = SRV {
                priority: 0,
                weight: 0,
                port: 1,
                target,
            };
            packet.answers.push(record(
                SERVICE,
                9,
                RData::PTR(PTR(Name::new(name).unwrap())),
            ));
            packet.answers.push(record(name, 9, RData::SRV(srv)));
            assert_eq!(
                parse_reply(&packet.build_bytes_vec().unwrap(), ID),
                Ok(vec![]),
                "{name}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = parse_reply(&bytes, ID);
        }

        /// A valid reply with a few bytes changed reaches the deep parts of the decoder.
        #[test]
        fn no_damaged_reply_panics(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
            keep in any::<prop::sample::Index>(),
        ) {
            let mut bytes = reply(10, 27443);
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if let Ok(adverts) = parse_reply(&bytes, ID) {
                for advert in adverts {
                    prop_assert!(advert.port != 0 && advert.instance.chars().count() <= 63);
                    prop_assert!(!advert.instance.chars().any(char::is_control));
                }
            }
            let _ = parse_reply(&bytes[..keep.index(bytes.len())], ID);
        }
    }
}
