//! What a policy file may say, and how it is told what it may not.

mod contradictions;
mod docs;
mod faults;
mod meaning;

use std::{net::IpAddr, path::Path};

use proptest::prelude::*;
use usher_engine::policy::{BarredKind, Counted, Subject};
use usher_protocol::{ids::Fingerprint, time::DurationMs};

use super::*;

/// What is wrong with a text, as a person reads it.
fn wrong(text: &str) -> String {
    let error = parse(Path::new("policy.toml"), text).unwrap_err();
    error.to_string()
}

fn good(text: &str) -> Policy {
    let read = parse(Path::new("/etc/usher/policy.toml"), text);
    read.unwrap_or_else(|error| panic!("{error}"))
}

fn subject<'a>(user: &'a str, host: &'a str) -> Subject<'a> {
    Subject {
        client: Fingerprint([0xab; 32]).into(),
        user,
        host,
        address: Some(IpAddr::from([10, 1, 2, 3])),
    }
}

/// The engine knows licenses, and no file; what it refuses is told like what the file itself says wrong.
#[test]
fn what_the_engine_refuses_points_into_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("policy.toml");
    let text = "[[reserve]]\r\nfeature = \"acme/solver\"\r\nseats = 20\r\n";
    std::fs::write(&path, text).unwrap();
    let told = refused_at(&path, 2, "acme/solver has 10 seats").to_string();
    insta::assert_snapshot!(told.replace(&path.display().to_string(), "policy.toml"), @r#"
    policy.toml:2:1: acme/solver has 10 seats
      |
    2 | feature = "acme/solver"
      | ^^^^^^^^^^^^^^^^^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
}

const EVERY_WORD: &str = r#"
enroll = "required"

[groups.night-shift]
users = ["bob", "ann*"]
hosts = ["ws-*"]
keys = ["abababababababababababababababababababababababababababababababab"]
networks = ["10.1.0.0/16", "fd00::/8"]
groups = ["day-shift"]

[groups.day-shift]
users = ["eve"]

[groups.nobody-yet]
users = []

[[deny]]
feature = "acme/solver"
who = ["user:guest*", "network:10.9.0.0/16"]
reason = "ask the lab"

[[allow]]
feature = "acme/solver"
who = ["night-shift"]

[[maximum]]
feature = "acme/solver"
per = "user"
seats = 2

[[reserve]]
feature = "acme/solver"
seats = 2
who = ["night-shift"]

[[priority]]
who = ["night-shift"]
level = -10

[[lease]]
feature = "acme/solver"
length = "5m"

[[linger]]
feature = "acme/*"
length = "2m"

[[idle]]
who = ["host:ws-1"]
after = "never"

[[idle]]
after = "1h30m"

[[borrow]]
feature = "acme/solver"
who = ["night-shift"]
longest = "7d"
at-home = 2

[[borrow]]
longest = "0"

[[queue]]
feature = "acme/solver"
backfill = true
"#;

#[test]
fn every_word_means_what_the_engine_takes_it_for() {
    let policy = good(EVERY_WORD);
    let solver = "acme/solver";
    let (bob, eve) = (subject("Bob", "x"), subject("eve", "ws-1"));
    assert_eq!(policy.file, "policy.toml");
    assert_eq!(policy.enroll_required().unwrap().line, 2);
    let barred = policy.admits(solver, &subject("GUEST7", "x")).unwrap_err();
    assert_eq!((barred.kind, barred.rule.line), (BarredKind::Denied, 17));
    assert_eq!(barred.reason.as_deref(), Some("ask the lab"));
    assert_eq!(policy.admits(solver, &eve), Ok(()));
    let stranger = Subject {
        client: Fingerprint([1; 32]).into(),
        address: None,
        ..subject("mallory", "x")
    };
    let barred = policy.admits(solver, &stranger).unwrap_err();
    assert_eq!(
        (barred.kind, barred.rule.line),
        (BarredKind::NotAllowed, 22)
    );
    let maxima = policy.maxima(solver, &bob);
    assert_eq!(maxima[0].counted, Counted::User("bob".to_owned()));
    assert_eq!(policy.reservation_of(solver, &eve), Some(0));
    assert_eq!(policy.priority("other/thing", &eve), -10);
    assert_eq!(policy.length(solver, &eve), Some(DurationMs::minutes(5)));
    assert_eq!(policy.linger(solver, &eve), DurationMs::minutes(2));
    assert_eq!(policy.idle_after(solver, &eve), None);
    assert_eq!(
        policy.idle_after(solver, &bob).unwrap().0,
        DurationMs::minutes(90)
    );
    let terms = policy.borrow(solver, &eve);
    assert_eq!(
        (terms.longest, terms.at_home),
        (Some(DurationMs::days(7)), 2)
    );
    assert_eq!(policy.borrow("x/y", &eve).longest, Some(DurationMs::ZERO));
    assert!(policy.backfill(solver) && !policy.backfill("acme/viewer"));
    assert_eq!(
        policy.summary(),
        "3 groups; 1 deny, 1 allow, 1 maximum, 1 reserve, 1 priority, 1 lease, 1 linger, 2 idle, 2 borrow, 1 queue; enroll = required"
    );
}

#[test]
fn groups_keep_the_order_of_the_file_and_may_name_later_ones() {
    let policy = good(
        "[groups.z]\ngroups = [\"a\"]\n[groups.a]\nusers = [\"bob\"]\n[[deny]]\nwho = [\"z\"]\n",
    );
    let names: Vec<&str> = policy
        .groups
        .iter()
        .map(|group| group.name.as_str())
        .collect();
    assert_eq!(names, ["z", "a"]);
    assert_eq!((policy.groups[0].line, policy.groups[1].line), (1, 3));
    assert!(policy.admits("a/b", &subject("bob", "x")).is_err());
}

#[test]
fn a_file_of_windows_is_a_file() {
    let policy = good("\u{feff}enroll = \"required\"\r\n\r\n[[deny]]\r\nwho = [\"user:bob\"]\r\n");
    assert_eq!((policy.enroll, policy.deny[0].line), (Some(Line(1)), 3));
    let text = wrong("[[deny]]\r\nwho = [\"bob\"]\r\n");
    assert!(
        text.contains("\n2 | who = [\"bob\"]\n  |        ^^^^^\n"),
        "{text}"
    );
}

#[test]
fn an_absent_file_and_an_empty_one_say_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("policy.toml");
    assert!(load(&path).unwrap().is_empty());
    assert!(load_existing(&path).unwrap_err().is_absent());
    std::fs::write(&path, "# nothing yet\n").unwrap();
    assert!(load(&path).unwrap().is_empty());
    assert!(good("enroll = \"open\"").is_empty());
}

#[test]
fn a_file_that_is_no_text_or_too_long_is_refused_before_it_is_read_as_toml() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("policy.toml");
    std::fs::write(&path, [b'#', 0xff]).unwrap();
    assert!(matches!(
        load(&path),
        Err(PolicyError::NotText { at: 1, .. })
    ));
    std::fs::write(&path, vec![b'#'; 1024 * 1024 + 1]).unwrap();
    assert!(matches!(load(&path), Err(PolicyError::TooLong { .. })));
    assert!(matches!(
        load(dir.path()),
        Err(PolicyError::Unreadable { .. })
    ));
}

#[test]
fn a_large_policy_is_read_and_a_larger_one_is_refused() {
    let rules = |count: usize| {
        let rule = |number| format!("[[deny]]\nfeature = \"acme/f{number}\"\nwho = [\"g\"]\n");
        let group = "[groups.g]\nusers = [\"bob\"]\n";
        group.to_owned() + &(0..count).map(rule).collect::<String>()
    };
    assert_eq!(good(&rules(4096)).deny.len(), 4096);
    assert!(wrong(&rules(4097)).contains("over the limit of 4096"));
    let users = |count: usize| {
        let user = |number| format!("\"u{number}\",");
        let users = (0..count).map(user).collect::<String>();
        format!("[groups.g]\nusers = [{users}]\n")
    };
    good(&users(65_536));
    assert!(wrong(&users(65_537)).contains("over the limit of 65536"));
    let groups = |count| (0..count).map(|number| format!("[groups.g{number}]\nusers = []\n"));
    good(&groups(1024).collect::<String>());
    assert!(wrong(&groups(1025).collect::<String>()).contains("1025 groups, over the limit"));
}

#[test]
fn twenty_faults_are_told_and_the_rest_are_counted() {
    let text = wrong(&"[[linger]]\nlength = \"forever\"\n".repeat(30));
    assert_eq!(text.matches("not a length of time").count(), 20);
    assert!(
        text.contains("30 errors, of which these are the first"),
        "{text}"
    );
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
        drop(parse(Path::new("policy.toml"), &text));
    }

    #[test]
    fn no_damage_to_a_good_file_makes_the_reader_panic(
        cuts in prop::collection::vec((0..EVERY_WORD.len(), "[\\[\\]{}=\",.*:a-z0-9\\n -]{0,6}", 0..8_usize), 1..4)
    ) {
        let mut text = EVERY_WORD.to_owned();
        for (at, put, taken) in cuts {
            let start = at.min(text.len());
            let end = (start + taken).min(text.len());
            text.replace_range(start..end, &put);
        }
        if let Err(error) = parse(Path::new("policy.toml"), &text) {
            prop_assert!(error.to_string().contains("policy.toml:"));
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        drop(parse(Path::new("policy.toml"), &String::from_utf8_lossy(&bytes)));
    }
}
