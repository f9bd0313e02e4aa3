//! Two honest peers: who they see, what they reveal, and what a connection may cost.

use super::*;
use rustls::server::Acceptor;

const QUIET: Duration = Duration::from_millis(150);

#[tokio::test]
async fn each_side_sees_the_key_the_other_holds() {
    let expected = ExpectedServer::Key(public(1));
    let meeting = meet(
        server_config(&key(1)).unwrap(),
        client_config(&key(2), expected).unwrap(),
    )
    .await;
    let (server, client) = meeting.both();
    assert_eq!(peer_key(server), Ok(public(2)));
    assert_eq!(peer_key(client), Ok(public(1)));
}

#[tokio::test]
async fn an_unknown_server_is_met_and_then_known_by_its_key() {
    let meeting = meet(
        server_config(&key(3)).unwrap(),
        client_config(&key(2), ExpectedServer::Any).unwrap(),
    )
    .await;
    assert_eq!(peer_key(meeting.both().1), Ok(public(3)));
}

#[tokio::test]
async fn another_server_than_expected_learns_nothing_of_the_client() {
    let watching = Arc::new(Lenient::default());
    let client = client_config(&key(2), ExpectedServer::Key(public(9))).unwrap();
    let meeting = meet(quic_server(server_judging(Arc::clone(&watching))), client).await;
    let reason = meeting.refused_by_client();
    assert!(reason.contains("OtherServer"), "{reason}");
    assert_eq!(
        watching.asked(),
        0,
        "the client showed its certificate to a stranger"
    );
}

#[tokio::test]
async fn one_stream_and_no_other_way_in() {
    let meeting = meet(
        server_config(&key(1)).unwrap(),
        client_config(&key(2), ExpectedServer::Any).unwrap(),
    )
    .await;
    let (server, client) = meeting.both();
    let (mut asking, mut answers) = client.open_bi().await.unwrap();
    asking.write_all(b"ping").await.unwrap();
    let (mut answering, mut asked) = server.accept_bi().await.unwrap();
    let mut heard = [0; 4];
    asked.read_exact(&mut heard).await.unwrap();
    answering.write_all(&heard).await.unwrap();
    answers.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"ping");
    assert!(
        timeout(QUIET, client.open_bi()).await.is_err(),
        "a second stream"
    );
    assert!(
        timeout(QUIET, client.open_uni()).await.is_err(),
        "a one-way stream"
    );
    assert!(
        timeout(QUIET, server.open_bi()).await.is_err(),
        "a stream from the server"
    );
    assert!(
        timeout(QUIET, server.open_uni()).await.is_err(),
        "a push stream"
    );
    assert!(client.max_datagram_size().is_none() && server.max_datagram_size().is_none());
}

#[test]
fn the_first_message_names_no_server_and_offers_ed25519_alone() {
    let config = Arc::new(super::super::client_tls(&key(2), ExpectedServer::Any).unwrap());
    let name = ServerName::try_from(SERVER_NAME).unwrap();
    let mut client = rustls::ClientConnection::new(config, name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    let mut acceptor = Acceptor::default();
    acceptor.read_tls(&mut bytes.as_slice()).unwrap();
    let accepted = acceptor
        .accept()
        .map_err(|(error, _)| error)
        .unwrap()
        .unwrap();
    let hello = accepted.client_hello();
    assert_eq!(hello.server_name(), None);
    assert_eq!(hello.signature_schemes(), [SignatureScheme::ED25519]);
    assert_eq!(hello.alpn().unwrap().collect::<Vec<_>>(), [ALPN]);
}

#[test]
fn no_session_is_kept_and_no_secret_is_logged() {
    let server = super::super::server_tls(&key(1)).unwrap();
    assert_eq!(
        (server.max_early_data_size, server.send_tls13_tickets),
        (0, 0)
    );
    assert!(!server.ticketer.enabled() && !server.session_storage.can_cache());
    assert!(!server.send_half_rtt_data && !server.enable_secret_extraction);
    assert!(!server.key_log.will_log("CLIENT_TRAFFIC_SECRET_0"));
    let client = super::super::client_tls(&key(2), ExpectedServer::Any).unwrap();
    assert!(!client.enable_early_data && !client.enable_sni && !client.enable_secret_extraction);
    assert!(!client.key_log.will_log("CLIENT_TRAFFIC_SECRET_0"));
}

/// A life of the daemon, with a runtime of its own so that it can end as by `kill -9`: sockets
/// close, nothing is said to anybody.
fn life(
    address: SocketAddr,
) -> (
    tokio::runtime::Runtime,
    SocketAddr,
    std::sync::mpsc::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let socket = std::net::UdpSocket::bind(address).unwrap();
    let address = socket.local_addr().unwrap();
    let (met, meetings) = std::sync::mpsc::channel();
    runtime.spawn(async move {
        let endpoint = quinn::Endpoint::new(
            endpoint_config(&key(1)),
            Some(server_config(&key(1)).unwrap()),
            socket,
            Arc::new(quinn::TokioRuntime),
        )
        .unwrap();
        let connection = endpoint.accept().await.unwrap().await.unwrap();
        met.send(()).unwrap();
        connection.closed().await;
    });
    (runtime, address, meetings)
}

#[tokio::test]
async fn a_restarted_server_says_so_to_the_clients_of_its_former_life() {
    let (first, address, met) = life(LOOPBACK);
    let mut caller = quinn::Endpoint::client(LOOPBACK).unwrap();
    caller.set_default_client_config(client_config(&key(2), ExpectedServer::Any).unwrap());
    let connection = caller.connect(address, SERVER_NAME).unwrap().await.unwrap();
    tokio::task::spawn_blocking(move || met.recv_timeout(PATIENCE).unwrap())
        .await
        .unwrap();
    first.shutdown_background();
    // The socket closes when the last task of that life is dropped.
    let mut second = None;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if std::net::UdpSocket::bind(address).is_ok() {
            second = Some(life(address));
            break;
        }
    }
    let second = second.expect("the first life still holds its socket");
    let (mut asking, _answers) = connection.open_bi().await.unwrap();
    asking.write_all(&[0; 600]).await.unwrap();
    let end = timeout(PATIENCE, connection.closed())
        .await
        .expect("no reset came");
    assert!(matches!(end, quinn::ConnectionError::Reset), "{end:?}");
    second.0.shutdown_background();
}
