//! `usherd clients` and `usherd client`: which client keys are accepted, and which were refused for want
//! of that (`enroll = "required"` in the policy).

use usher_client::clock::local_rfc3339;

use super::{
    Failure, admin,
    print::{self, Column, Table, plain},
};
use crate::{
    admin::protocol::{Answer, Ask, ClientReport},
    config::Places,
};

/// Which, and how to print them.
#[derive(Debug, clap::Args)]
pub(super) struct ClientsArgs {
    /// Only those that wait to be accepted
    #[arg(long)]
    pending: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What to do about a client key.
#[derive(Debug, clap::Subcommand)]
pub(super) enum ClientVerb {
    /// Accept it: where the policy says `enroll = "required"` it gets seats from now on
    Accept {
        /// The key in full (`ed25519:…`), or the first digits of one that has knocked
        key: String,
        /// What to call it
        #[arg(long, value_name = "NAME")]
        name: String,
    },
    /// Accept it no more: its leases are not renewed
    Remove {
        /// The key, its name, or its first digits
        key: String,
    },
}

/// Lists them.
pub(super) fn list(args: &ClientsArgs, places: &Places) -> Result<(), Failure> {
    let mut clients = match admin(places)?.ask(Ask::Clients)? {
        Answer::Clients(clients) => clients,
        other => return Err(Failure::of_answer(other)),
    };
    if args.pending {
        clients.retain(|client| matches!(client, ClientReport::Pending { .. }));
    }
    if args.json {
        print::json(&clients)
    } else {
        print::text(&told(&clients))
    }
}

/// Accepts or removes one.
pub(super) fn run(verb: ClientVerb, places: &Places) -> Result<(), Failure> {
    let (ask, done) = match verb {
        ClientVerb::Accept { key: client, name } => {
            let done = format!("accepted as {}", plain(&name));
            (Ask::ClientAccept { client, name }, done)
        }
        ClientVerb::Remove { key: client } => {
            let done = "accepted no more; its leases are not renewed".to_owned();
            (Ask::ClientRemove { client }, done)
        }
    };
    match admin(places)?.ask(ask)? {
        Answer::Client { client } => print::text(&format!("✓ {}: {done}\n", client.short())),
        other => Err(Failure::of_answer(other)),
    }
}

fn told(clients: &[ClientReport]) -> String {
    if clients.is_empty() {
        return "no client keys\n".to_owned();
    }
    let rows: Vec<_> = clients.iter().map(row).collect();
    Table::of(COLUMNS, &rows)
}

fn row(client: &ClientReport) -> [String; 4] {
    match client {
        ClientReport::Accepted {
            client,
            name,
            since,
            ..
        } => [
            client.short(),
            "accepted".to_owned(),
            plain(name),
            format!("since {}", local_rfc3339(*since)),
        ],
        ClientReport::Pending {
            client,
            user,
            host,
            address,
            ago_ms,
            ..
        } => [
            client.short(),
            "pending".to_owned(),
            format!("{} on {}", plain(user), plain(host)),
            format!("{ago_ms} ago, from {address}"),
        ],
    }
}

const COLUMNS: [Column; 4] = [
    Column::Left("CLIENT"),
    Column::Left("STATE"),
    Column::Left("NAME"),
    Column::Left("SEEN"),
];

#[cfg(test)]
mod tests {
    use usher_protocol::{
        ids::PublicKey,
        time::{DurationMs, WallMs},
    };

    use super::*;

    #[test]
    fn those_that_wait_are_told_from_those_that_are_accepted() {
        let key = |seed| PublicKey::from(&ed25519_dalek::SigningKey::from_bytes(&[seed; 32]));
        let since = WallMs(1_795_348_800_000);
        let clients = [
            ClientReport::Accepted {
                client: key(1).fingerprint(),
                key: key(1),
                name: "lab-7".to_owned(),
                since,
            },
            ClientReport::Pending {
                client: key(2).fingerprint(),
                key: key(2),
                user: "bob\u{7}".to_owned(),
                host: "ws9".to_owned(),
                address: std::net::Ipv4Addr::new(10, 1, 2, 3).into(),
                ago_ms: DurationMs::minutes(2),
            },
        ];
        let text = told(&clients).replace(&local_rfc3339(since), "2026-11-22T12:00:00+00:00");
        insta::assert_snapshot!(text, @r"
        CLIENT    STATE     NAME         SEEN
        34750f98  accepted  lab-7        since 2026-11-22T12:00:00+00:00
        6a3803d5  pending   bob� on ws9  2m ago, from 10.1.2.3
        ");
        insta::assert_snapshot!(serde_json::to_string(&clients).unwrap(), @r#"[{"state":"accepted","client":"34750f98bd59fcfc946da45aaabe933be154a4b5094e1c4abf42866505f3c97e","key":"ed25519:iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=","name":"lab-7","since":"2026-11-22T12:00:00Z"},{"state":"pending","client":"6a3803d5f059902a1c6dafbc9ba4729212f7caac08634cc3ae76b27529f03827","key":"ed25519:gTl3Dqh9F19Wo1Rmw0x+zMuNipG07jeiXfYPW4/Js5Q=","user":"bob\u0007","host":"ws9","address":"10.1.2.3","ago-ms":120000}]"#);
        assert_eq!(told(&[]), "no client keys\n");
    }
}
