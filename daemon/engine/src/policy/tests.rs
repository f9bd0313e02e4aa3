//! Each kind of rule, by what it answers.

use usher_protocol::ids::Fingerprint;

use super::*;

const SOLVER: &str = "acme/solver";

fn subject<'a>(user: &'a str, host: &'a str) -> Subject<'a> {
    Subject {
        client: Fingerprint([7; 32]).into(),
        user,
        host,
        address: Some("10.1.2.3".parse().unwrap()),
    }
}

fn group(name: &str, users: &[&str], groups: &[usize]) -> PolicyGroup {
    let mut members = Members::default();
    for user in users {
        members.users.add(user).unwrap();
    }
    PolicyGroup {
        name: name.to_owned(),
        line: 1,
        members,
        groups: groups.to_vec(),
    }
}

/// `staff` has `day` and `night` within it.
fn with_groups() -> Policy {
    Policy {
        file: "policy.toml".to_owned(),
        groups: vec![
            group("staff", &[], &[1, 2]),
            group("day", &["ann*"], &[]),
            group("night", &["bob"], &[]),
        ],
        ..Policy::default()
    }
}

fn rule<T>(line: u32, feature: &str, who: &[&str], says: T) -> Rule<T> {
    let feature = match feature {
        "" => FeaturePattern::Every,
        text => text.parse().unwrap(),
    };
    let who = match who {
        [] => Who::Everybody,
        words => Who::of(words, &with_groups().groups).unwrap(),
    };
    Rule {
        line,
        feature,
        who,
        says,
    }
}

fn deny(line: u32, feature: &str, who: &[&str]) -> Rule<Deny> {
    rule(line, feature, who, Deny::default())
}

fn kind(policy: &Policy, feature: &str, user: &str) -> Option<BarredKind> {
    let answer = policy.admits(feature, &subject(user, "ws-1"));
    answer.err().map(|barred| barred.kind)
}

#[test]
fn an_empty_policy_gives_everybody_what_the_license_gives() {
    let policy = Policy::default();
    let who = subject("bob", "ws-1");
    assert!(policy.is_empty());
    assert_eq!(policy.admits(SOLVER, &who), Ok(()));
    assert_eq!(policy.maxima(SOLVER, &who), []);
    assert_eq!(policy.reservation_of(SOLVER, &who), None);
    assert_eq!(policy.reservations(SOLVER), []);
    assert_eq!(policy.priority(SOLVER, &who), 0);
    assert_eq!(policy.length(SOLVER, &who), None);
    assert_eq!(policy.linger(SOLVER, &who), DurationMs::ZERO);
    assert_eq!(policy.idle_after(SOLVER, &who), None);
    assert_eq!(policy.borrow(SOLVER, &who), BorrowTerms::default());
    assert!(!policy.backfill(SOLVER));
    assert_eq!(policy.enroll_required(), None);
    assert!(
        !Policy {
            enroll: Some(Line(1)),
            ..Policy::default()
        }
        .is_empty()
    );
    assert!(with_groups().is_empty());
}

#[test]
fn who_names_users_hosts_keys_networks_and_groups() {
    let key = format!("key:{}", Fingerprint([7; 32]));
    let other_key = format!("key:{}", Fingerprint([8; 32]));
    for (word, named) in [
        ("user:BOB", true),
        ("user:b?b", true),
        ("user:bo", false),
        ("host:WS-*", true),
        ("host:bob", false),
        (key.as_str(), true),
        (other_key.as_str(), false),
        ("network:10.1.0.0/16", true),
        ("network:10.2.0.0/16", false),
        ("night", true),
        ("day", false),
        ("staff", true),
    ] {
        let policy = Policy {
            deny: vec![deny(1, "", &[word])],
            ..with_groups()
        };
        let barred = policy.admits(SOLVER, &subject("Bob", "ws-1"));
        assert_eq!(barred.is_err(), named, "{word}");
    }
}

#[test]
fn a_subject_is_in_its_groups_and_in_those_around_them() {
    let policy = with_groups();
    for (user, groups) in [
        ("Anna", &["staff", "day"][..]),
        ("bob", &["staff", "night"]),
        ("guest", &[]),
    ] {
        assert_eq!(policy.groups_of(&subject(user, "ws-1")), groups, "{user}");
    }
}

#[test]
fn a_word_that_names_nobody_is_said_so() {
    let groups = with_groups().groups;
    let wrong = |word: &str| Who::of(&[word], &groups).unwrap_err();
    assert_eq!(wrong("Day"), WhoError::UnknownGroup("Day".to_owned()));
    assert_eq!(wrong("usr:bob"), WhoError::UnknownKind("usr".to_owned()));
    assert_eq!(wrong("key:12"), WhoError::Key);
    assert_eq!(wrong("user:"), WhoError::Pattern(PatternError::Empty));
    assert_eq!(wrong("network:lab"), WhoError::Network(NetworkError::Text));
}

#[test]
fn a_client_key_may_be_written_in_full() {
    let key =
        usher_protocol::ids::PublicKey::from(&ed25519_dalek::SigningKey::from_bytes(&[1; 32]));
    let in_full = format!("key:{key}");
    let policy = Policy {
        deny: vec![deny(1, "", &[&in_full])],
        ..Policy::default()
    };
    let mut who = subject("bob", "ws-1");
    assert!(policy.admits(SOLVER, &who).is_ok());
    who.client = key.into();
    assert!(policy.admits(SOLVER, &who).is_err());
    who.client = key.fingerprint().into();
    assert!(policy.admits(SOLVER, &who).is_err());
    who.client = SubjectKey::Unseen;
    assert!(policy.admits(SOLVER, &who).is_ok());
    let by_fingerprint = format!("key:{}", key.fingerprint());
    assert!(deny(1, "", &[&by_fingerprint]).covers(&policy.deny[0]));
}

#[test]
fn without_an_address_no_network_names_anybody() {
    let policy = Policy {
        deny: vec![deny(1, "", &["network:0.0.0.0/0"])],
        ..Policy::default()
    };
    let mut who = subject("bob", "ws-1");
    assert!(policy.admits(SOLVER, &who).is_err());
    who.address = Some("::ffff:192.0.2.1".parse().unwrap());
    assert!(policy.admits(SOLVER, &who).is_err());
    who.address = None;
    assert!(policy.admits(SOLVER, &who).is_ok());
}

#[test]
fn a_cycle_of_groups_that_nobody_checked_still_ends() {
    let groups = vec![group("a", &[], &[1, 9]), group("b", &["bob"], &[0])];
    let who = Who::of(&["a"], &groups).unwrap();
    assert!(who.names(&Folded::of(&subject("bob", "")), &groups));
    assert!(!who.names(&Folded::of(&subject("ann", "")), &groups));
}

#[test]
fn deny_goes_before_allow_and_its_first_rule_is_named() {
    let mut first = deny(3, "acme/*", &["user:bob"]);
    first.says.reason = Some("ask the lab".to_owned());
    let policy = Policy {
        deny: vec![first, deny(7, SOLVER, &["staff"])],
        allow: vec![rule(9, SOLVER, &["staff"], Allow)],
        ..with_groups()
    };
    let barred = policy.admits(SOLVER, &subject("bob", "ws-1")).unwrap_err();
    assert_eq!(barred.kind, BarredKind::Denied);
    assert_eq!(barred.reason.as_deref(), Some("ask the lab"));
    assert_eq!(barred.rule.line, 3);
    assert_eq!(barred.rule.file, "policy.toml");
    assert_eq!(barred.rule.text, "deny acme/* to user:bob");
    let barred = policy.admits(SOLVER, &subject("anna", "ws-1")).unwrap_err();
    assert_eq!((barred.rule.line, barred.reason), (7, None));
}

#[test]
fn once_a_feature_has_an_allow_rule_only_the_named_are_admitted() {
    let policy = Policy {
        allow: vec![
            rule(1, "acme/s*", &["day"], Allow),
            rule(5, SOLVER, &["user:eve"], Allow),
        ],
        ..with_groups()
    };
    assert_eq!(kind(&policy, SOLVER, "anna"), None);
    assert_eq!(kind(&policy, SOLVER, "EVE"), None);
    assert_eq!(kind(&policy, SOLVER, "bob"), Some(BarredKind::NotAllowed));
    assert_eq!(
        kind(&policy, "acme/sketch", "eve"),
        Some(BarredKind::NotAllowed)
    );
    assert_eq!(kind(&policy, "acme/viewer", "bob"), None);
    let barred = policy.admits(SOLVER, &subject("bob", "ws-1")).unwrap_err();
    assert_eq!(barred.rule.text, "allow acme/s* to day");
    assert_eq!(barred.rule.line, 1);
}

#[test]
fn of_maxima_the_first_per_user_and_per_host_and_all_of_groups_hold() {
    let max = |line, who: &[&str], seats, per| rule(line, SOLVER, who, MaximumRule { seats, per });
    let policy = Policy {
        maximum: vec![
            max(1, &["user:BOB"], 5, Per::User),
            max(2, &[], 1, Per::User),
            max(3, &[], 3, Per::Host),
            max(4, &["staff"], 4, Per::Group),
            max(5, &["night"], 2, Per::Group),
            max(6, &["day"], 2, Per::Group),
        ],
        ..with_groups()
    };
    let found = policy.maxima(SOLVER, &subject("Bob", "WS-1"));
    let found: Vec<_> = found
        .into_iter()
        .map(|it| (it.rule, it.seats, it.counted))
        .collect();
    assert_eq!(
        found,
        [
            (0, 5, Counted::User("bob".to_owned())),
            (2, 3, Counted::Host("ws-1".to_owned())),
            (3, 4, Counted::Group),
            (4, 2, Counted::Group),
        ]
    );
    assert!(policy.maximum_names(3, &subject("ANN", "x")));
    assert!(!policy.maximum_names(4, &subject("ann", "x")));
    assert!(!policy.maximum_names(99, &subject("ann", "x")));
    let rule = policy.rule_of_maximum(3);
    assert_eq!(
        (rule.line, rule.text.as_str()),
        (4, "maximum of 4 seats of acme/solver in all for staff")
    );
    assert_eq!(policy.rule_of_maximum(99).line, 0);
}

#[test]
fn a_holder_belongs_to_the_first_reservation_that_names_it() {
    let reserve =
        |line, feature, who: &[&str], seats| rule(line, feature, who, ReserveRule { seats });
    let policy = Policy {
        reserve: vec![
            reserve(1, "acme/viewer", &["night"], 9),
            reserve(2, SOLVER, &["night"], 2),
            reserve(3, SOLVER, &["staff", "user:eve"], 1),
        ],
        ..with_groups()
    };
    assert_eq!(policy.reservation_of(SOLVER, &subject("bob", "")), Some(1));
    assert_eq!(policy.reservation_of(SOLVER, &subject("ann", "")), Some(2));
    assert_eq!(policy.reservation_of(SOLVER, &subject("eve", "")), Some(2));
    assert_eq!(policy.reservation_of(SOLVER, &subject("guest", "")), None);
    let expected = Reservation {
        index: 2,
        seats: 1,
        who: "staff, user:eve".to_owned(),
    };
    assert_eq!(policy.reservations(SOLVER)[1], expected);
    assert_eq!(policy.reservations(SOLVER).len(), 2);
    assert_eq!(
        policy.rule_of_reservation(2).text,
        "reserve 1 seat of acme/solver for staff, user:eve"
    );
}

#[test]
fn of_the_other_kinds_the_first_rule_that_matches_decides() {
    let minutes = DurationMs::minutes;
    let policy = Policy {
        priority: vec![
            rule(1, SOLVER, &["night"], PriorityRule { level: 10 }),
            rule(2, "", &[], PriorityRule { level: -1 }),
        ],
        lease: vec![
            rule(3, "", &["night"], LeaseRule { length: minutes(5) }),
            rule(4, SOLVER, &[], LeaseRule { length: minutes(9) }),
        ],
        linger: vec![
            rule(
                5,
                SOLVER,
                &["night"],
                LingerRule {
                    length: DurationMs::ZERO,
                },
            ),
            rule(6, SOLVER, &[], LingerRule { length: minutes(2) }),
        ],
        idle: vec![
            rule(7, SOLVER, &["night"], IdleRule { after: None }),
            rule(
                8,
                SOLVER,
                &[],
                IdleRule {
                    after: Some(minutes(30)),
                },
            ),
        ],
        ..with_groups()
    };
    let (bob, guest) = (subject("bob", ""), subject("guest", ""));
    assert_eq!(
        (
            policy.priority(SOLVER, &bob),
            policy.priority(SOLVER, &guest)
        ),
        (10, -1)
    );
    assert_eq!(policy.length(SOLVER, &bob), Some(minutes(5)));
    assert_eq!(policy.length(SOLVER, &guest), Some(minutes(9)));
    assert_eq!(policy.length("acme/viewer", &guest), None);
    assert_eq!(policy.linger(SOLVER, &bob), DurationMs::ZERO);
    assert_eq!(policy.linger(SOLVER, &guest), minutes(2));
    assert_eq!(policy.idle_after(SOLVER, &bob), None);
    let (after, rule) = policy.idle_after(SOLVER, &guest).unwrap();
    assert_eq!((after, rule.line), (minutes(30), 8));
    assert_eq!(rule.text, "reclaim acme/solver idle for 30m from everybody");
}

#[test]
fn borrowing_is_as_the_license_allows_unless_a_rule_says_otherwise() {
    let borrow = |line, who: &[&str], longest, at_home| {
        rule(line, SOLVER, who, BorrowRule { longest, at_home })
    };
    let policy = Policy {
        borrow: vec![
            borrow(1, &["night"], Some(DurationMs::days(7)), 2),
            borrow(2, &[], Some(DurationMs::ZERO), 0),
        ],
        ..with_groups()
    };
    let terms = policy.borrow(SOLVER, &subject("bob", ""));
    assert_eq!(
        (terms.longest, terms.at_home),
        (Some(DurationMs::days(7)), 2)
    );
    assert_eq!(
        terms.rule.unwrap().text,
        "acme/solver is borrowed by night for 7d at the longest, 2 seats stay"
    );
    let terms = policy.borrow(SOLVER, &subject("guest", ""));
    assert_eq!(terms.longest, Some(DurationMs::ZERO));
    assert_eq!(
        terms.rule.unwrap().text,
        "acme/solver is not borrowed by everybody"
    );
    assert_eq!(policy.borrow("acme/viewer", &subject("bob", "")).rule, None);
}

#[test]
fn backfill_and_enrollment_are_off_until_said() {
    let policy = Policy {
        enroll: Some(Line(1)),
        queue: vec![
            rule(2, SOLVER, &[], QueueRule { backfill: false }),
            rule(3, "acme/*", &[], QueueRule { backfill: true }),
        ],
        ..with_groups()
    };
    assert!(!policy.backfill(SOLVER));
    assert!(policy.backfill("acme/viewer"));
    assert_eq!(policy.summary(), "3 groups; 2 queue; enroll = required");
    assert_eq!(Policy::default().summary(), "no rules");
    let rule = policy.enroll_required().unwrap();
    assert_eq!((rule.line, rule.text.as_str()), (1, "enroll = required"));
}

#[test]
fn a_rule_in_words_stays_short_and_safe_to_show() {
    let words: Vec<String> = (0..500)
        .map(|number| format!("user:u{number:03}"))
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let policy = Policy {
        deny: vec![deny(1, SOLVER, &words)],
        ..Policy::default()
    };
    let text = policy.reference(&policy.deny[0]).text;
    assert!(text.len() < 300 && text.ends_with(" more"), "{text}");
    let evil = Policy {
        deny: vec![deny(1, SOLVER, &["user:a\u{202e}b"])],
        ..Policy::default()
    };
    assert!(
        evil.reference(&evil.deny[0])
            .text
            .contains("user:a\u{fffd}b")
    );
}

#[test]
fn a_rule_covers_what_an_equal_or_narrower_one_says() {
    let covers =
        |a: (&str, &[&str]), b: (&str, &[&str])| deny(1, a.0, a.1).covers(&deny(2, b.0, b.1));
    assert!(covers(("", &[]), (SOLVER, &["day"])));
    assert!(covers(("acme/*", &["day", "night"]), (SOLVER, &["night"])));
    assert!(covers((SOLVER, &["user:BOB"]), (SOLVER, &["user:bob"])));
    assert!(!covers((SOLVER, &[]), ("acme/*", &[])));
    assert!(!covers((SOLVER, &["night"]), (SOLVER, &["day"])));
    assert!(!covers((SOLVER, &["night"]), (SOLVER, &[])));
}
