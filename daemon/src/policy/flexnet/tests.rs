//! What an options file becomes, and that what it becomes is always a policy.

use proptest::prelude::*;
use usher_engine::policy::{Policy, Subject};
use usher_protocol::{ids::Fingerprint, time::DurationMs};

use super::*;

fn converted(text: &str) -> Converted {
    let vendor = "acme".parse().unwrap();
    convert(text, &vendor).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

fn policy(text: &str) -> Policy {
    let Converted {
        policy, remarks, ..
    } = converted(text);
    assert_eq!(remarks, [], "{text}");
    parse(Path::new("policy.toml"), &policy).unwrap()
}

fn remarks(text: &str) -> String {
    let remarks = converted(text).remarks;
    let lines = remarks
        .iter()
        .map(|it| format!("{}: {}\n", it.line, it.text));
    lines.collect()
}

fn subject<'a>(user: &'a str, host: &'a str) -> Subject<'a> {
    Subject {
        client: Fingerprint([1; 32]).into(),
        user,
        host,
        address: Some("10.1.2.3".parse().unwrap()),
    }
}

const SITE: &str = include_str!("tests/site.opt");

#[test]
fn an_options_file_becomes_a_policy_that_says_where_each_rule_is_from() {
    assert_eq!(converted(SITE).policy, include_str!("tests/site.toml"));
}

#[test]
fn what_it_becomes_means_what_it_meant() {
    let policy = policy(SITE);
    let solver = "acme/solver";
    let (ann, bob, guest) = (
        subject("ann", "x"),
        subject("Bob", "ws-9"),
        subject("GUEST", "x"),
    );
    assert!(policy.admits(solver, &guest).is_err());
    assert!(policy.admits(solver, &ann).is_ok());
    assert!(
        policy
            .admits("acme/other", &subject("mallory", "x"))
            .is_err()
    );
    assert!(
        policy
            .admits("other/tool", &subject("mallory", "x"))
            .is_ok()
    );
    let far = Subject {
        address: None,
        ..subject("ann", "home")
    };
    assert!(policy.admits("acme/viewer", &far).is_err());
    assert!(
        policy
            .admits(
                "acme/viewer",
                &Subject {
                    host: "WS-2",
                    ..far
                }
            )
            .is_ok()
    );
    assert_eq!(policy.maxima("acme/viewer", &bob)[0].seats, 1);
    assert_eq!(policy.maxima("acme/viewer", &ann)[0].seats, 2);
    assert_eq!(policy.reservations(solver)[0].seats, 3);
    assert_eq!(
        policy.reservation_of(solver, &subject("ZOË K", "x")),
        Some(0)
    );
    assert_eq!(
        policy.idle_after(solver, &ann).unwrap().0,
        DurationMs::minutes(30)
    );
    assert_eq!(
        policy.idle_after("acme/viewer", &ann).unwrap().0,
        DurationMs::hours(2)
    );
    assert_eq!(policy.linger(solver, &ann), DurationMs::seconds(90));
    let terms = |who| policy.borrow(solver, &who);
    assert_eq!(terms(bob).longest, Some(DurationMs::ZERO));
    assert_eq!(terms(guest).longest, Some(DurationMs::ZERO));
}

#[test]
fn included_borrowers_get_the_terms_and_everybody_else_none() {
    let policy = policy("INCLUDE_BORROW f USER ann\nMAX_BORROW_HOURS f 24\nBORROW_LOWWATER f 2\n");
    let terms = policy.borrow("acme/f", &subject("ann", "x"));
    assert_eq!(
        (terms.longest, terms.at_home),
        (Some(DurationMs::days(1)), 2)
    );
    let terms = policy.borrow("acme/f", &subject("bob", "x"));
    assert_eq!(terms.longest, Some(DurationMs::ZERO));
}

#[test]
fn a_feature_whose_included_are_all_excluded_is_shut() {
    let policy = policy("INCLUDE f USER bob\nEXCLUDE f USER BOB\n");
    assert!(policy.admits("acme/f", &subject("bob", "x")).is_err());
    assert!(policy.admits("acme/f", &subject("ann", "x")).is_err());
    assert!(policy.admits("acme/g", &subject("bob", "x")).is_ok());
}

#[test]
fn a_maximum_of_nothing_is_a_deny() {
    let policy = policy("GROUP g bob\nMAX 0 f GROUP g\n");
    assert!(policy.admits("acme/f", &subject("bob", "x")).is_err());
}

#[test]
fn groups_of_users_and_of_hosts_may_have_one_name() {
    let policy = policy(
        "GROUP lab bob\nHOST_GROUP lab ws-1\nEXCLUDE f HOST_GROUP lab\nEXCLUDE g GROUP lab\n",
    );
    assert!(policy.admits("acme/f", &subject("ann", "ws-1")).is_err());
    assert!(policy.admits("acme/f", &subject("bob", "x")).is_ok());
    assert!(policy.admits("acme/g", &subject("bob", "x")).is_err());
}

#[test]
fn every_line_that_does_not_map_says_why() {
    insta::assert_snapshot!(remarks(
        "NOLOG IN\nREPORTLOG +/var/log/x\nDEBUGLOG x\nMAX_OVERDRAFT f 2\nDUP_GROUP f UHD\nMAX_CONNECTIONS 9\n\
         AUTOMATIC_REREAD OFF\nDAEMON_SELECT_TIMEOUT 5\nFQDN_MATCHING exact\nACTIVATION_LOWWATER x 1\n\
         GROUPCASEINSENSITIVE OFF\n"
    ), @r"
    1: NOLOG: nothing is left out of the usage log; filter what you read (usherd usage)
    2: REPORTLOG: the usage log is always kept, in the open; read it with usherd usage
    3: DEBUGLOG: the daemon writes to standard error, so to the journal of systemd; USHERD_LOG sets the level
    4: MAX_OVERDRAFT: overdraft is lent as the vendor signed it, counted and logged apart; a policy cannot lower it
    5: DUP_GROUP: which leases share a seat is the vendor's to sign (`grouping` of the license)
    6: MAX_CONNECTIONS: connections are bounded in usherd.toml (`connections-per-address-max`)
    7: AUTOMATIC_REREAD: files are read again when you say so: usherd reload
    8: DAEMON_SELECT_TIMEOUT: there is no such setting, and no need of one
    9: FQDN_MATCHING: a host is named as it names itself; write a pattern by hand, like `host:ws-1*`
    10: ACTIVATION_LOWWATER: there is no activation and no trusted storage here; borrowing has rules of its own (`[[borrow]]`)
    11: GROUPCASEINSENSITIVE: names are always compared without case here
    ");
    insta::assert_snapshot!(remarks(
        "RESERVE 1 f:VERSION=2.0 USER bob\nRESERVE 1 \"f KEY=ab\" USER bob\nRESERVE 0 f USER bob\nRESERVE x f USER bob\n\
         RESERVE 9999999 f USER bob\nRESERVE 1 f DISPLAY ws:0\nRESERVE 1 f PROJECT x\nRESERVE 1 f GROUP nobody\n\
         RESERVE 1 f USER bob ann\nRESERVE 1 f USERS bob\nRESERV 1 f USER bob\nEXCLUDE f USER b*\n\
         EXCLUDE f INTERNET 10.*\nEXCLUDE Straße USER bob\nEXCLUDE f USER ALL_USERS\n"
    ), @r"
    1: RESERVE: `f:VERSION=2.0` means some licenses of the feature, and a rule is about the feature whatever license its seats come from; write it by hand for the whole feature if that will do
    2: RESERVE: `f KEY=ab` means some licenses of the feature, and a rule is about the feature whatever license its seats come from; write it by hand for the whole feature if that will do
    3: reserves nothing
    4: RESERVE: `x` is no whole number
    5: RESERVE: 9999999 seats, and no more than 1000000 can be meant here
    6: RESERVE: a policy does not tell displays apart: a display is no more than the client's own word; name the user or the host
    7: RESERVE: there are no projects here: anybody could claim one; name the users or their client keys in a group
    8: no GROUP line says who is in `nobody`
    9: RESERVE: expected `RESERVE COUNT FEATURE TYPE NAME`, and nothing after it
    10: RESERVE: `USERS` is no type of FlexNet; expected USER, HOST, INTERNET, GROUP or HOST_GROUP
    11: RESERV: no keyword of FlexNet's options files; did you mean `RESERVE`?
    12: EXCLUDE: `b*` has `*` or `?`, which match only themselves there and other characters here; if a pattern was meant, write it by hand
    13: EXCLUDE: `10.*` is no network; only whole numbers at the end of an address can be `*`: write `network:…` by hand
    14: EXCLUDE: no feature here can have this name: a feature name has lower-case letters, digits and `-_.`; `straße` has 'ß'
    15: ALL_USERS and ALL_GROUPS are words of MAX alone
    ");
    insta::assert_snapshot!(remarks(
        "MAX 2 f USER ALL_USERS\nMAX 3 f USER bob\nMAX 0 f USER ALL_USERS\nMAX 1 f GROUP ALL_GROUPS\n\
         TIMEOUT f 60\nTIMEOUT f 120\nLINGER f 999999\nTIMEOUTALL 9999999999\nMAX_BORROW_HOURS f 99999\n\
         MAX_BORROW_HOURS f 0\nBORROW_LOWWATER f 2\nEXCLUDEALL USER bob\nINCLUDEALL USER bob\n"
    ), @r"
    2: line 1 comes first and decides for the same
    3: a maximum of 0 for all users shuts the feature; write `[[allow]]` for those who may have it
    4: no GROUP line says who is in any group
    5: line 6 says otherwise, and the last one counts
    7: LINGER: longer than 1d cannot be said here
    8: TIMEOUT: longer than 30d cannot be said here
    9: MAX_BORROW_HOURS: longer than 366d cannot be said here
    11: BORROW_LOWWATER: nobody may borrow, so no seat has to stay
    13: includes only whom an EXCLUDEALL line excludes; write by hand who may have what
    ");
    insta::assert_snapshot!(remarks("GROUP g bob\nRESERVE 5 f GROUP g\nMAX 3 f GROUP g\nGROUP g *\n"), @r"
    2: RESERVE: 3 seats are reserved and not 5: the MAX of line 3 lets them have no more
    4: `*` has `*` or `?`, which match only themselves there and other characters here; if a pattern was meant, write it by hand
    ");
}

#[test]
fn every_keyword_stands_in_the_page_for_those_who_come() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/coming-from.md");
    let page = std::fs::read_to_string(page).unwrap();
    for word in statement::keywords() {
        let family = match word.split_once('_') {
            Some(("ACTIVATION", _)) => "`ACTIVATION_*`",
            Some((_, "ENTITLEMENT")) => "`*_ENTITLEMENT`",
            _ => word,
        };
        assert!(
            page.contains(&format!("`{}", family.trim_matches('`'))),
            "{word} is missing"
        );
    }
}

#[test]
fn nothing_becomes_a_policy_that_says_nothing() {
    assert!(policy("# only a comment\n\n").is_empty());
}

#[test]
fn what_goes_beyond_a_policy_is_an_error() {
    let lines: Vec<String> = (0..5000).map(|it| format!("LINGER f{it} 1")).collect();
    let error = convert(&lines.join("\n"), &"acme".parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("over the limit of 4096"));
}

/// A line that may well contradict others: few names, many keywords.
fn line() -> impl Strategy<Value = String> {
    let feature = prop::sample::select(vec!["f", "G", "f:VERSION=1", "h_1", "bad/name"]);
    let who = prop::sample::select(vec![
        "USER bob",
        "USER BOB",
        "USER ann",
        "HOST ws-1",
        "HOST 10.1.2.3",
        "INTERNET 10.1.*.*",
        "GROUP g",
        "GROUP G",
        "GROUP missing",
        "HOST_GROUP g",
        "USER ALL_USERS",
        "GROUP ALL_GROUPS",
        "DISPLAY x",
        "USER \"a b\\\"",
        "USER a,b:c",
    ]);
    let number = prop::sample::select(vec!["0", "1", "2", "5", "90000", "999999999999", "x"]);
    let shape = prop::sample::select(vec![
        "GROUP g bob \\\n ann",
        "GROUP G eve",
        "GROUP g",
        "HOST_GROUP g ws-1 10.*.*.*",
        "EXCLUDE F W",
        "INCLUDE F W",
        "EXCLUDEALL W",
        "INCLUDEALL W",
        "EXCLUDE_BORROW F W",
        "INCLUDE_BORROW F W",
        "MAX N F W",
        "RESERVE N F W",
        "TIMEOUT F N",
        "TIMEOUTALL N",
        "LINGER F N",
        "MAX_BORROW_HOURS F N",
        "BORROW_LOWWATER F N",
        "NOLOG IN",
        "NONSENSE",
        "MAX",
    ]);
    (shape, feature, who, number).prop_map(|(shape, feature, who, number)| {
        let words = shape.split(' ').map(|word| match word {
            "F" => feature,
            "W" => who,
            "N" => number,
            word => word,
        });
        words.collect::<Vec<_>>().join(" ")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_the_lines_say_the_result_is_a_policy_and_no_line_is_lost(
        lines in prop::collection::vec(line(), 0..25)
    ) {
        let text = lines.join("\n");
        let Converted { policy, lines, remarks } = converted(&text);
        let mut told: Vec<u32> = remarks.iter().map(|remark| remark.line).collect();
        told.dedup();
        prop_assert_eq!(lines + told.len(), super::lines::of(&text).len(), "{}\n{}", text, policy);
    }

    #[test]
    fn no_text_makes_the_converter_panic(text in "(\\PC|\n|\t|\\\\){0,200}") {
        drop(convert(&text, &"acme".parse().unwrap()));
    }
}
