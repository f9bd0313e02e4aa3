//! Files whose words are known and mean nothing: each gets its place and what was expected.

use super::*;

#[test]
fn an_unknown_group_gets_the_nearest_or_what_may_have_been_meant() {
    insta::assert_snapshot!(wrong(r#"[groups.engineering]
users = ["ann"]

[[allow]]
who = ["enginering"]
"#), @r#"
    policy.toml:5:8: there is no group `enginering`; did you mean `engineering`?
      |
    5 | who = ["enginering"]
      |        ^^^^^^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
    insta::assert_snapshot!(wrong(r#"[[allow]]
who = ["bob", "10.1.0.0/16"]
"#), @r#"
    policy.toml:2:8: there is no group `bob`; for a user write `user:bob`
      |
    2 | who = ["bob", "10.1.0.0/16"]
      |        ^^^^^
    policy.toml:2:15: there is no group `10.1.0.0/16`; for a network write `network:10.1.0.0/16`
      |
    2 | who = ["bob", "10.1.0.0/16"]
      |               ^^^^^^^^^^^^^
    2 errors; mend the file, then try it with: usherd policy check policy.toml
    "#);
    insta::assert_snapshot!(wrong(r#"[groups.a]
groups = ["b"]
"#), @r#"
    policy.toml:2:11: there is no group `b`
      |
    2 | groups = ["b"]
      |           ^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
}

#[test]
fn a_word_of_who_that_names_nobody_is_told_why() {
    insta::assert_snapshot!(wrong(r#"[[deny]]
who = ["usr:bob", "display:x", "key:12ab", "user:", "network:10.1.2.3/16", "network:lab", "network:10.0.0.0/40"]
"#), @r#"
    policy.toml:2:8: `usr:` is unknown; expected the name of a group, or `user:…`, `host:…`, `key:…`, `network:…`; did you mean `user:bob`?
      |
    2 | who = ["usr:bob", "display:x", "key:12ab", "user:", "network:10.1.2.3/16", "network:lab", "network:1
      |        ^^^^^^^^^
    policy.toml:2:19: `display:` is unknown; expected the name of a group, or `user:…`, `host:…`, `key:…`, `network:…`
      |
    2 | who = ["usr:bob", "display:x", "key:12ab", "user:", "network:10.1.2.3/16", "network:lab", "network:1
      |                   ^^^^^^^^^^^
    policy.toml:2:32: not a client key: expected the 64 hexadecimal digits of its fingerprint, or `ed25519:…` in full
      |
    2 | who = ["usr:bob", "display:x", "key:12ab", "user:", "network:10.1.2.3/16", "network:lab", "network:1
      |                                ^^^^^^^^^^
    policy.toml:2:44: an empty pattern matches nobody; expected a name, with `*` and `?` as you like
      |
    2 | who = ["usr:bob", "display:x", "key:12ab", "user:", "network:10.1.2.3/16", "network:lab", "network:1
      |                                            ^^^^^^^
    policy.toml:2:53: an address inside the network, not the network itself: did you mean `10.1.0.0/16`?
      |
    2 | who = ["usr:bob", "display:x", "key:12ab", "user:", "network:10.1.2.3/16", "network:lab", "network:1
      |                                                     ^^^^^^^^^^^^^^^^^^^^^
    policy.toml:2:76: not a network: expected an address and the bits of its prefix, like `10.1.0.0/16` or `fd00::/8`
      |
    2 | ", "display:x", "key:12ab", "user:", "network:10.1.2.3/16", "network:lab", "network:10.0.0.0/40"]
      |                                                             ^^^^^^^^^^^^^
    policy.toml:2:91: 40 bits, and such an address has 32
      |
    2 |  "key:12ab", "user:", "network:10.1.2.3/16", "network:lab", "network:10.0.0.0/40"]
      |                                                             ^^^^^^^^^^^^^^^^^^^^^
    7 errors; mend the file, then try it with: usherd policy check policy.toml
    "#);
    insta::assert_snapshot!(wrong("[[deny]]\nwho = []\n"), @r"
    policy.toml:2:7: an empty `who` names nobody; leave `who` out to mean everybody
      |
    2 | who = []
      |       ^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    ");
}

#[test]
fn spaces_around_a_name_are_told() {
    insta::assert_snapshot!(wrong("[[deny]]\nwho = [\"user: bob\"]\n"), @r#"
    policy.toml:2:8: ` bob` begins or ends with a space, which no name does
      |
    2 | who = ["user: bob"]
      |        ^^^^^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
}

#[test]
fn a_wrong_member_of_a_group_is_told_why() {
    insta::assert_snapshot!(wrong(r#"[groups.a]
users = ["ann", ""]
keys = ["ed25519:abc"]
networks = ["10.1.0.7/8"]
hosts = ["ws\u0007"]
"#), @r#"
    policy.toml:2:17: an empty pattern matches nobody; expected a name, with `*` and `?` as you like
      |
    2 | users = ["ann", ""]
      |                 ^^
    policy.toml:3:9: not a client key: expected the 64 hexadecimal digits of its fingerprint, or `ed25519:…` in full
      |
    3 | keys = ["ed25519:abc"]
      |         ^^^^^^^^^^^^^
    policy.toml:4:13: an address inside the network, not the network itself: did you mean `10.0.0.0/8`?
      |
    4 | networks = ["10.1.0.7/8"]
      |             ^^^^^^^^^^^^
    policy.toml:5:10: '\u{7}' stands in no name
      |
    5 | hosts = ["ws\u0007"]
      |          ^^^^^^^^^^
    4 errors; mend the file, then try it with: usherd policy check policy.toml
    "#);
    insta::assert_snapshot!(wrong(r#"[groups."night shift"]
users = []
"#), @r#"
    policy.toml:1:9: a group's name has letters, digits and `-_.`, not ' '
      |
    1 | [groups."night shift"]
      |         ^^^^^^^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
    insta::assert_snapshot!(wrong("[groups.empty]\n"), @r"
    policy.toml:1:9: the group `empty` says nothing; expected `users`, `hosts`, `keys`, `networks` or `groups` (`users = []` for nobody)
      |
    1 | [groups.empty]
      |         ^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    ");
}

#[test]
fn a_feature_is_named_with_its_vendor() {
    insta::assert_snapshot!(wrong(r#"[[deny]]
feature = "solver"
"#), @r#"
    policy.toml:2:11: a feature is named `vendor/feature`, not `solver`
      |
    2 | feature = "solver"
      |           ^^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
    insta::assert_snapshot!(wrong(r#"[[deny]]
feature = "Acme/Solver"
"#), @r#"
    policy.toml:2:11: a vendor name has lower-case letters, digits and `-_`; `Acme` has 'A'; did you mean `acme/solver`?
      |
    2 | feature = "Acme/Solver"
      |           ^^^^^^^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
    insta::assert_snapshot!(wrong(r#"[[deny]]
feature = "acme*"
"#), @r#"
    policy.toml:2:11: a pattern of features has one `/`; expected `vendor/feature`, like `acme/*`
      |
    2 | feature = "acme*"
      |           ^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
}

#[test]
fn what_a_rule_needs_is_asked_for() {
    insta::assert_snapshot!(wrong("[[reserve]]\n"), @r#"
    policy.toml:1:1: `feature` is missing; expected one, like `feature = "acme/solver"`
      |
    1 | [[reserve]]
      | ^^^^^^^^^^^
    policy.toml:1:1: `who` is missing; expected one, like `who = ["night-shift"]`
      |
    1 | [[reserve]]
      | ^^^^^^^^^^^
    policy.toml:1:1: `seats` is missing; expected one, like `seats = 2`
      |
    1 | [[reserve]]
      | ^^^^^^^^^^^
    3 errors; mend the file, then try it with: usherd policy check policy.toml
    "#);
    insta::assert_snapshot!(wrong("[[maximum]]\nseats = 2\n"), @r#"
    policy.toml:1:1: `per` is missing; expected one, like `per = "user"`
      |
    1 | [[maximum]]
      | ^^^^^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
    insta::assert_snapshot!(wrong(r#"[[maximum]]
per = "group"
seats = 2
"#), @r#"
    policy.toml:1:1: `per = "group"` counts the seats of all whom `who` names; expected `who`, like `who = ["students"]`
      |
    1 | [[maximum]]
      | ^^^^^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
    insta::assert_snapshot!(wrong(r#"[[borrow]]
who = ["user:bob"]
"#), @r"
    policy.toml:1:1: this says nothing about borrowing; expected `longest` or `at-home`
      |
    1 | [[borrow]]
      | ^^^^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    ");
    insta::assert_snapshot!(wrong("[[deny]]\n"), @r"
    policy.toml:1:1: this denies everything to everybody; expected `feature` or `who`
      |
    1 | [[deny]]
      | ^^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    ");
    insta::assert_snapshot!(wrong("[[allow]]\n"), @r"
    policy.toml:1:1: this allows everything to everybody, as no rule would; expected `feature` or `who`
      |
    1 | [[allow]]
      | ^^^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    ");
    insta::assert_snapshot!(wrong(r#"[[reserve]]
feature = "acme/*"
who = ["user:bob"]
seats = 2
"#), @r#"
    policy.toml:2:11: seats are reserved of one feature; expected its name without `*` and `?`
      |
    2 | feature = "acme/*"
      |           ^^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
}

#[test]
fn a_reason_is_one_short_line() {
    insta::assert_snapshot!(wrong(r#"[[deny]]
who = ["user:bob"]
reason = "a\nb"
"#), @r#"
    policy.toml:3:10: a reason is one line without control characters
      |
    3 | reason = "a\nb"
      |          ^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
    insta::assert_snapshot!(wrong(r#"[[deny]]
who = ["user:bob"]
reason = ""
"#), @r#"
    policy.toml:3:10: a reason has 1 to 256 bytes, not 0
      |
    3 | reason = ""
      |          ^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
}

#[test]
fn faults_of_many_kinds_are_told_at_once_in_the_order_of_the_file() {
    insta::assert_snapshot!(wrong(r#"enroll = "maybe"

[[linger]]
length = "soon"

[groups.a]
groups = ["b"]

[[deny]]
who = ["c"]
"#), @r#"
    policy.toml:1:10: `maybe` is unknown for `enroll`; expected `open`, `required`
      |
    1 | enroll = "maybe"
      |          ^^^^^^^
    policy.toml:4:10: `soon` is not a length of time: expected numbers with the units d, h, m, s, ms, the largest first, like `10m` or `1h30m`
      |
    4 | length = "soon"
      |          ^^^^^^
    policy.toml:7:11: there is no group `b`
      |
    7 | groups = ["b"]
      |           ^^^
    policy.toml:10:8: there is no group `c`; for a user write `user:c`
       |
    10 | who = ["c"]
       |        ^^^
    4 errors; mend the file, then try it with: usherd policy check policy.toml
    "#);
}

#[test]
fn what_steers_a_terminal_is_not_repeated() {
    insta::assert_snapshot!(wrong("[[deny]]\nwho = [\"us\u{202e}er\"] # \u{202e}\n"), @r#"
    policy.toml:2:8: there is no group `us�er`; for a user write `user:us�er`
      |
    2 | who = ["us�er"] # �
      |        ^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
}
