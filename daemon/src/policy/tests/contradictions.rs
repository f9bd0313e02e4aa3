//! Rules that are right by themselves and not together.

use super::*;

#[test]
fn a_group_within_itself_is_refused() {
    insta::assert_snapshot!(wrong(r#"[groups.a]
groups = ["b"]
[groups.b]
users = ["x"]
groups = ["c"]
[groups.c]
groups = ["a"]
"#), @r#"
    policy.toml:2:10: a group cannot be within itself: a → b → c → a; take one of them out
      |
    2 | groups = ["b"]
      |          ^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
    insta::assert_snapshot!(wrong(r#"[groups.a]
groups = ["a"]
"#), @r#"
    policy.toml:2:10: a group cannot be within itself: a → a; take one of them out
      |
    2 | groups = ["a"]
      |          ^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
}

#[test]
fn a_rule_after_a_broader_one_is_refused() {
    insta::assert_snapshot!(wrong(r#"[[priority]]
level = 1

[[priority]]
feature = "acme/solver"
who = ["user:bob"]
level = 10
"#), @r"
    policy.toml:4:1: this rule never decides: line 1 comes first and names all that it names (`priority 1 for every feature for everybody`); put the narrower one first, or take one out
      |
    4 | [[priority]]
      | ^^^^^^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    ");
    insta::assert_snapshot!(wrong(r#"[[deny]]
feature = "acme/*"
who = ["user:bob", "user:ann"]

[[deny]]
feature = "acme/solver"
who = ["user:BOB"]
reason = "never shown"
"#), @r"
    policy.toml:5:1: this rule never decides: line 1 comes first and names all that it names (`deny acme/* to user:ann, user:bob`); put the narrower one first, or take one out
      |
    5 | [[deny]]
      | ^^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    ");
    insta::assert_snapshot!(wrong(r#"[[reserve]]
feature = "acme/solver"
who = ["user:bob"]
seats = 2
[[reserve]]
feature = "acme/solver"
who = ["user:bob"]
seats = 3
"#), @r"
    policy.toml:5:1: this rule never decides: line 1 comes first and names all that it names (`reserve 2 seats of acme/solver for user:bob`); put the narrower one first, or take one out
      |
    5 | [[reserve]]
      | ^^^^^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    ");
    insta::assert_snapshot!(wrong("[[queue]]\nbackfill = true\n[[queue]]\nbackfill = false\n"), @r"
    policy.toml:3:1: this rule never decides: line 1 comes first and names all that it names (`smaller requests may pass in the queue for every feature`); put the narrower one first, or take one out
      |
    3 | [[queue]]
      | ^^^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    ");
}

#[test]
fn a_maximum_said_twice_is_refused() {
    insta::assert_snapshot!(wrong(r#"[[maximum]]
per = "user"
seats = 2
[[maximum]]
feature = "acme/solver"
per = "user"
seats = 1
"#), @r"
    policy.toml:4:1: this rule never decides: line 1 comes first and names all that it names (`maximum of 2 seats of every feature per user among everybody`); put the narrower one first, or take one out
      |
    4 | [[maximum]]
      | ^^^^^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    ");
    insta::assert_snapshot!(wrong(r#"[groups.g]
users = ["bob"]
[[maximum]]
per = "group"
who = ["g"]
seats = 2
[[maximum]]
per = "group"
who = ["g"]
seats = 3
"#), @r"
    policy.toml:7:1: this rule never decides: line 3 comes first and names all that it names (`maximum of 2 seats of every feature in all for g`); put the narrower one first, or take one out
      |
    7 | [[maximum]]
      | ^^^^^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    ");
}

#[test]
fn an_allow_that_a_deny_makes_void_is_refused() {
    insta::assert_snapshot!(wrong(r#"[[deny]]
feature = "acme/*"

[[allow]]
feature = "acme/solver"
who = ["user:bob"]
"#), @r"
    policy.toml:4:1: this admits nobody: the deny of line 1 (`deny acme/* to everybody`) goes before every allow; an allow alone keeps out whom it does not name
      |
    4 | [[allow]]
      | ^^^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    ");
    insta::assert_snapshot!(wrong(r#"[[allow]]
who = ["user:bob"]
[[allow]]
who = ["user:Bob"]
"#), @r"
    policy.toml:3:1: line 1 says the same; take one out
      |
    3 | [[allow]]
      | ^^^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    ");
}

#[test]
fn a_reservation_beyond_a_maximum_is_refused() {
    insta::assert_snapshot!(wrong(r#"[groups.g]
users = ["bob"]
[[maximum]]
feature = "acme/*"
per = "group"
who = ["g"]
seats = 2
[[reserve]]
feature = "acme/solver"
who = ["g"]
seats = 3
"#), @r"
    policy.toml:8:1: 3 seats are reserved, but line 3 lets these have 2 in all; reserve no more than that
      |
    8 | [[reserve]]
      | ^^^^^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    ");
}

#[test]
fn a_borrow_that_is_forbidden_keeps_no_seats_at_home() {
    insta::assert_snapshot!(wrong(r#"[[borrow]]
longest = "0"
at-home = 2
"#), @r#"
    policy.toml:3:11: `longest = "0"` lets nobody borrow, so `at-home` decides nothing; take one of them out
      |
    3 | at-home = 2
      |           ^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
}
#[test]
fn rules_that_differ_in_effect_may_stand_together() {
    good(EVERY_WORD);
    // The narrower first; the same group denied one feature and reserved another's seats.
    good(
        r#"
        [groups.g]
        users = ["bob"]
        [[maximum]]
        who = ["g"]
        per = "user"
        seats = 4
        [[maximum]]
        per = "user"
        seats = 1
        [[maximum]]
        per = "host"
        seats = 1
        [[maximum]]
        per = "group"
        who = ["g"]
        seats = 9
        [[deny]]
        feature = "acme/viewer"
        who = ["g"]
        [[reserve]]
        feature = "acme/viewer"
        who = ["g"]
        seats = 2
        [[allow]]
        feature = "acme/*"
        who = ["g"]
        [[allow]]
        feature = "acme/solver"
        who = ["g"]
        "#,
    );
}

#[test]
fn a_web_of_groups_is_walked_once() {
    let group = |number: usize| {
        let inner: Vec<String> = (number + 1..200).map(|it| format!("\"g{it}\"")).collect();
        format!(
            "[groups.g{number}]\nusers = [\"u{number}\"]\ngroups = [{}]\n",
            inner.join(",")
        )
    };
    let web: String = (0..200).map(group).collect();
    let policy = good(&(web + "[[deny]]\nwho = [\"g0\"]\n"));
    assert!(policy.admits("a/b", &subject("u199", "x")).is_err());
    assert!(policy.admits("a/b", &subject("u200", "x")).is_ok());
}
