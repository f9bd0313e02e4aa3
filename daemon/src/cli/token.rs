//! `usherd token`: who may use the HTTPS server, and the certificate it proves itself by.

use usher_client::clock::local_rfc3339;
use usher_protocol::time::DurationMs;

use super::{
    Failure, admin,
    print::{self, Column, Table, plain},
};
use crate::{
    admin::protocol::{Answer, Ask, TokenMade, TokenReport},
    config::Places,
    tokens::{Scope, SeatBound, TOKEN_MS_DEFAULT},
};

/// What to do about tokens.
#[derive(Debug, clap::Subcommand)]
pub(super) enum TokenVerb {
    /// Make one; its secret is shown once and kept nowhere
    New {
        /// What it is for
        #[arg(long, value_enum)]
        scope: Scope,
        /// What to call it [default: its scope]
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Ends after this
        #[arg(long, value_name = "LENGTH", default_value_t = TOKEN_MS_DEFAULT)]
        expires: DurationMs,
        /// With `--scope lease`: what it may check out, and how many seats together; once for each feature
        #[arg(long = "feature", value_name = "VENDOR/FEATURE:SEATS", value_parser = seat_bound)]
        seats: Vec<SeatBound>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// What tokens there are
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Give one a new secret, for as long again
    Rotate {
        /// Its name or id
        token: String,
        /// The old secret holds for this long
        #[arg(long, value_name = "LENGTH", default_value_t = DurationMs::ZERO)]
        grace: DurationMs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// End one at once
    Revoke {
        /// Its name or id
        token: String,
    },
    /// Print the HTTPS server's certificate, for those that are to believe it
    Certificate,
}

/// Does it.
pub(super) fn run(verb: TokenVerb, places: &Places) -> Result<(), Failure> {
    let ask = |ask| Ok::<_, Failure>(admin(places)?.ask(ask)?);
    match verb {
        TokenVerb::New {
            scope,
            name,
            expires: lives_ms,
            seats,
            json,
        } => {
            let name = name.unwrap_or_else(|| scope.word().to_owned());
            let new = Ask::TokenNew {
                name,
                scope,
                lives_ms,
                seats,
            };
            made(ask(new)?, json)
        }
        TokenVerb::Rotate {
            token,
            grace: grace_ms,
            json,
        } => made(ask(Ask::TokenRotate { token, grace_ms })?, json),
        TokenVerb::List { json } => match ask(Ask::Tokens)? {
            Answer::Tokens(tokens) if json => print::json(&tokens),
            Answer::Tokens(tokens) => print::text(&listed(&tokens)),
            other => Err(Failure::of_answer(other)),
        },
        TokenVerb::Revoke { token } => {
            let done = format!("✓ {}: revoked; it opens nothing any more\n", plain(&token));
            match ask(Ask::TokenRevoke { token })? {
                Answer::Done => print::text(&done),
                other => Err(Failure::of_answer(other)),
            }
        }
        TokenVerb::Certificate => match ask(Ask::HttpCertificate)? {
            Answer::HttpCertificate(pem) => print::text(&pem),
            other => Err(Failure::of_answer(other)),
        },
    }
}

fn made(answer: Answer, json: bool) -> Result<(), Failure> {
    let made = match answer {
        Answer::TokenMade(made) if json => return print::json(&made),
        Answer::TokenMade(made) => made,
        other => return Err(Failure::of_answer(other)),
    };
    eprint!("{}", told(&made));
    // The secret alone on standard output: for a file or a variable, and in no log.
    print::text(&format!("{}\n", made.secret.show()))
}

fn told(made: &TokenMade) -> String {
    let token = &made.token;
    let made_it = format!(
        "✓ {}: a token of the scope `{}` until {}; its secret is shown now and never again\n",
        plain(&token.name),
        token.scope.word(),
        local_rfc3339(token.expires)
    );
    let client = token.client.map_or_else(String::new, |client| {
        format!("  its leases belong to {client}\n")
    });
    let opens = match &made.problem {
        Some(problem) => format!("! {}\n", plain(problem)),
        None => format!("  it opens {}\n", made.addresses.join(", ")),
    };
    [made_it, client, opens].concat()
}

fn listed(tokens: &[TokenReport]) -> String {
    if tokens.is_empty() {
        return "no token: usherd token new --scope read\n".to_owned();
    }
    let rows: Vec<_> = tokens.iter().map(row).collect();
    Table::of(COLUMNS, &rows)
}

fn row(token: &TokenReport) -> [String; 5] {
    let seats = token.seats.iter();
    let seats: Vec<_> = seats
        .map(|it| format!("{}:{}", it.feature, it.seats))
        .collect();
    [
        token.id.clone(),
        plain(&token.name),
        token.scope.word().to_owned(),
        local_rfc3339(token.expires),
        seats.join(" "),
    ]
}

fn seat_bound(text: &str) -> Result<SeatBound, String> {
    let (feature, seats) = text
        .rsplit_once(':')
        .ok_or("expected vendor/feature:SEATS, such as acme/solver:2")?;
    let seats = seats
        .parse()
        .map_err(|_| format!("`{seats}` is no number of seats"))?;
    Ok(SeatBound {
        feature: feature.to_owned(),
        seats,
    })
}

const COLUMNS: [Column; 5] = [
    Column::Left("ID"),
    Column::Left("NAME"),
    Column::Left("SCOPE"),
    Column::Left("EXPIRES"),
    Column::Left("MAY CHECK OUT"),
];
