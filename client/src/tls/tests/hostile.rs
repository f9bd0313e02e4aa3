//! Every way to be refused: weak, foreign and unproved keys, other protocols, shortcuts (T1, T5).

use super::*;
use rustls::client::{ClientSessionStore, Tls13ClientSessionValue};
use rustls::server::StoresServerSessions;
use rustls::{NamedGroup, server::ServerConnection};

fn our_client() -> quinn::ClientConfig {
    client_config(&key(2), ExpectedServer::Any).unwrap()
}

fn our_server() -> quinn::ServerConfig {
    server_config(&key(1)).unwrap()
}

/// Presents `rogue` to our server and to our client: both must refuse for `reason`.
async fn refused_on_both_sides(rogue: Rogue, reason: &str) {
    let by_server = meet(our_server(), rogue.clone().client())
        .await
        .refused_by_server()
        .await;
    assert!(by_server.contains(reason), "server: {by_server}");
    let by_client = meet(rogue.server(), our_client()).await.refused_by_client();
    assert!(by_client.contains(reason), "client: {by_client}");
}

#[tokio::test]
async fn an_honest_rogue_passes_so_that_the_refusals_below_mean_something() {
    let meeting = meet(our_server(), Rogue::new().client()).await;
    assert_eq!(peer_key(meeting.both().0), Ok(public(7)));
    let meeting = meet(Rogue::new().server(), our_client()).await;
    assert_eq!(peer_key(meeting.both().1), Ok(public(7)));
}

#[tokio::test]
async fn a_small_order_key_fools_the_library_and_not_us() {
    let lenient = Arc::new(Lenient::default());
    let fooled = meet(
        quic_server(server_judging(lenient)),
        Rogue::small_order().client(),
    )
    .await;
    assert_eq!(
        peer_key(fooled.both().0),
        Err(PeerError::Key(usher_protocol::ids::KeyError::Weak))
    );
    refused_on_both_sides(Rogue::small_order(), "Key(Weak)").await;
}

#[tokio::test]
async fn a_key_off_the_curve_is_refused() {
    let public = (2..=255_u8)
        .map(|byte| {
            let mut bytes = [0; 32];
            bytes[0] = byte;
            bytes
        })
        .find(|bytes| ed25519_dalek::VerifyingKey::from_bytes(bytes).is_err())
        .unwrap();
    let rogue = Rogue {
        public: public.to_vec(),
        ..Rogue::new()
    };
    refused_on_both_sides(rogue, "Key(NotAPoint)").await;
}

#[tokio::test]
async fn a_chain_of_two_is_refused() {
    refused_on_both_sides(
        Rogue {
            copies: 2,
            ..Rogue::new()
        },
        "Chain(2)",
    )
    .await;
}

#[tokio::test]
async fn rsa_and_ecdsa_certificates_are_refused() {
    let public = vec![4; 65];
    let ecdsa = Rogue {
        public,
        certificate: &PKCS_ECDSA_P256_SHA256,
        ..Rogue::new()
    };
    refused_on_both_sides(ecdsa, "NotEd25519").await;
    let rsa = Rogue {
        public: vec![0x30; 270],
        certificate: &PKCS_RSA_SHA256,
        ..Rogue::new()
    };
    refused_on_both_sides(rsa, "NotEd25519").await;
}

#[tokio::test]
async fn an_ed25519_key_of_another_length_is_refused() {
    refused_on_both_sides(
        Rogue {
            public: vec![9; 31],
            ..Rogue::new()
        },
        "NotEd25519",
    )
    .await;
}

#[tokio::test]
async fn a_certificate_without_its_secret_is_refused() {
    let thief = Rogue {
        public: key(1).verifying_key().to_bytes().to_vec(),
        ..Rogue::new()
    };
    refused_on_both_sides(thief, "BadSignature").await;
}

#[tokio::test]
async fn a_signature_of_an_unoffered_scheme_is_refused() {
    let rogue = Rogue {
        scheme: SignatureScheme::ECDSA_NISTP256_SHA256,
        ..Rogue::new()
    };
    refused_on_both_sides(rogue, "UnadvertisedSigScheme").await;
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused() {
    let mut anonymous = rustls::ClientConfig::builder_with_provider(super::super::provider())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Lenient::default()))
        .with_no_client_auth();
    anonymous.alpn_protocols = vec![ALPN.to_vec()];
    let reason = meet(our_server(), quic_client(anonymous))
        .await
        .refused_by_server()
        .await;
    assert!(reason.contains("peer sent no certificates"), "{reason}");
}

#[tokio::test]
async fn another_protocol_or_none_is_refused_by_either_side() {
    for alpn in [vec![b"h3".to_vec()], vec![b"usher/2".to_vec()], vec![]] {
        let mut client = super::super::client_tls(&key(2), ExpectedServer::Any).unwrap();
        client.alpn_protocols.clone_from(&alpn);
        let reason = meet(our_server(), quic_client(client))
            .await
            .refused_by_server()
            .await;
        assert!(reason.contains("crypto(78)"), "{alpn:?}: {reason}");
        let mut server = super::super::server_tls(&key(1)).unwrap();
        server.alpn_protocols.clone_from(&alpn);
        let meeting = meet(quic_server(server), our_client()).await;
        assert!(
            meeting.client.is_err(),
            "{alpn:?}: our client connected without usher/1"
        );
    }
}

/// A `ClientHello` as TLS 1.2 has it: no `supported_versions`, an ECDHE suite, Ed25519 offered.
/// QUIC cannot carry it, so it is put to the very configuration that QUIC uses.
#[test]
fn a_tls_1_2_hello_is_refused() {
    let extensions: &[u8] = &[
        0x00, 0x0a, 0x00, 0x04, 0x00, 0x02, 0x00, 0x1d, // supported_groups: x25519
        0x00, 0x0b, 0x00, 0x02, 0x01, 0x00, // ec_point_formats: uncompressed
        0x00, 0x0d, 0x00, 0x04, 0x00, 0x02, 0x08, 0x07, // signature_algorithms: ed25519
    ];
    let mut body = vec![0x03, 0x03];
    body.extend([7; 32]);
    body.extend([0x00, 0x00, 0x02, 0xc0, 0x2b, 0x01, 0x00, 0x00, 22]);
    body.extend(extensions);
    let length = u8::try_from(body.len()).unwrap();
    let mut hello = vec![0x16, 0x03, 0x01, 0x00, length + 4, 0x01, 0x00, 0x00, length];
    hello.extend(body);
    let config = Arc::new(super::super::server_tls(&key(1)).unwrap());
    let mut server = ServerConnection::new(config).unwrap();
    server.read_tls(&mut hello.as_slice()).unwrap();
    let refused = server.process_new_packets().unwrap_err();
    assert!(
        matches!(refused, rustls::Error::PeerIncompatible(_)),
        "{refused:?}"
    );
}

#[tokio::test]
async fn the_tls_1_2_callbacks_fail_even_for_a_good_signature() {
    let provider = super::super::provider();
    let server_side = Arc::new(Lenient {
        also_server: Some(AnyClient::new(&provider)),
        ..Lenient::default()
    });
    let client_side = Arc::new(Lenient {
        also_client: Some(ServerVerifier::new(ExpectedServer::Any, &provider)),
        ..Lenient::default()
    });
    let server = quic_server(server_judging(Arc::clone(&server_side)));
    let client = quic_client(client_judging(Arc::clone(&client_side)));
    meet(server, client).await.both();
    for side in [server_side, client_side] {
        let verdicts = side.tls12.lock().unwrap().clone();
        assert!(matches!(verdicts.as_slice(), [Err(_)]), "{verdicts:?}");
    }
}

/// A client eager to resume and to send early: our server gives it nothing to do it with.
#[tokio::test]
async fn no_ticket_is_issued_and_0_rtt_never_starts() {
    let tickets = Arc::new(Tickets::default());
    let mut eager = client_judging(Arc::new(Lenient::default()));
    eager.enable_early_data = true;
    eager.resumption = Resumption::store(Arc::clone(&tickets) as Arc<dyn ClientSessionStore>);
    let server = quinn::Endpoint::server(our_server(), LOOPBACK).unwrap();
    let mut caller = quinn::Endpoint::client(LOOPBACK).unwrap();
    caller.set_default_client_config(quic_client(eager));
    for _ in 0..2 {
        let connecting = caller
            .connect(server.local_addr().unwrap(), SERVER_NAME)
            .unwrap();
        let connecting = connecting
            .into_0rtt()
            .err()
            .expect("0-RTT keys were at hand");
        let accept = async { server.accept().await.unwrap().await.unwrap() };
        let (there, here) = tokio::join!(accept, connecting);
        round_trip(&there, &here.unwrap()).await;
    }
    assert_eq!(
        *tickets.asked.lock().unwrap(),
        2,
        "the client did look for a ticket each time"
    );
    assert_eq!(*tickets.given.lock().unwrap(), 0);
}

/// A server that hands out tickets and would take early data: our client keeps none of them, and
/// proves itself anew each time.
#[tokio::test]
async fn our_client_never_resumes() {
    let watching = Arc::new(Lenient::default());
    let sessions = Arc::new(Sessions::default());
    let mut generous = server_judging(Arc::clone(&watching));
    generous.session_storage = Arc::clone(&sessions) as Arc<dyn StoresServerSessions>;
    generous.max_early_data_size = u32::MAX;
    generous.send_tls13_tickets = 4;
    let server = quinn::Endpoint::server(quic_server(generous), LOOPBACK).unwrap();
    let mut caller = quinn::Endpoint::client(LOOPBACK).unwrap();
    caller.set_default_client_config(our_client());
    for met in 1..=2 {
        let connecting = caller
            .connect(server.local_addr().unwrap(), SERVER_NAME)
            .unwrap();
        let connecting = connecting
            .into_0rtt()
            .err()
            .expect("0-RTT keys were at hand");
        let accept = async { server.accept().await.unwrap().await.unwrap() };
        let (there, here) = tokio::join!(accept, connecting);
        round_trip(&there, &here.unwrap()).await;
        assert_eq!(
            watching.asked(),
            met,
            "a handshake skipped the client's certificate"
        );
    }
    assert!(
        *sessions.put.lock().unwrap() > 0,
        "the server never issued a ticket"
    );
    assert_eq!(*sessions.taken.lock().unwrap(), 0);
}

/// Tickets travel after the handshake: only once data came back have they surely arrived.
async fn round_trip(server: &quinn::Connection, client: &quinn::Connection) {
    let (mut asking, mut answers) = client.open_bi().await.unwrap();
    asking.write_all(b"?").await.unwrap();
    let (mut answering, mut asked) = server.accept_bi().await.unwrap();
    let mut heard = [0; 1];
    asked.read_exact(&mut heard).await.unwrap();
    answering.write_all(b"!").await.unwrap();
    answers.read_exact(&mut heard).await.unwrap();
}

#[derive(Debug, Default)]
struct Tickets {
    given: Mutex<usize>,
    asked: Mutex<usize>,
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(
        &self,
        _: ServerName<'static>,
        _: rustls::client::Tls12ClientSessionValue,
    ) {
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<rustls::client::Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, _: Tls13ClientSessionValue) {
        *self.given.lock().unwrap() += 1;
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        *self.asked.lock().unwrap() += 1;
        None
    }
}

#[derive(Debug, Default)]
struct Sessions {
    put: Mutex<usize>,
    taken: Mutex<usize>,
}

impl StoresServerSessions for Sessions {
    fn put(&self, _: Vec<u8>, _: Vec<u8>) -> bool {
        *self.put.lock().unwrap() += 1;
        true
    }

    fn get(&self, _: &[u8]) -> Option<Vec<u8>> {
        *self.taken.lock().unwrap() += 1;
        None
    }

    fn take(&self, _: &[u8]) -> Option<Vec<u8>> {
        *self.taken.lock().unwrap() += 1;
        None
    }

    fn can_cache(&self) -> bool {
        true
    }
}
