//! Malformed files: each gets its place and what was expected.

use super::*;

#[test]
fn a_mistyped_word_gets_the_known_ones_and_the_nearest() {
    insta::assert_snapshot!(wrong("dney = 1\n"), @r"
    policy.toml:1:1: `dney` is unknown; expected `enroll`, `groups`, `deny`, `allow`, `maximum`, `reserve`, `priority`, `lease`, `linger`, `idle`, `borrow`, `queue`; did you mean `deny`?
      |
    1 | dney = 1
      | ^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    ");
    insta::assert_snapshot!(wrong(r#"[[deny]]
feture = "acme/solver"
who = ["user:bob"]
"#), @r#"
    policy.toml:2:1: `feture` is unknown; expected `feature`, `who`, `reason`; did you mean `feature`?
      |
    2 | feture = "acme/solver"
      | ^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
    insta::assert_snapshot!(wrong(r#"[[borrow]]
at_home = 2
longest = "7d"
"#), @r"
    policy.toml:2:1: `at_home` is unknown; expected `feature`, `who`, `longest`, `at-home`; did you mean `at-home`?
      |
    2 | at_home = 2
      | ^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    ");
}

#[test]
fn a_word_that_slipped_below_a_table_is_told_where_it_belongs() {
    insta::assert_snapshot!(wrong("[[deny]]\nwho = [\"user:bob\"]\n\nenroll = \"required\"\n"), @r#"
    policy.toml:4:1: `enroll` is unknown; expected `feature`, `who`, `reason`; `enroll` belongs above the first line that begins with `[`
      |
    4 | enroll = "required"
      | ^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
}

#[test]
fn broken_toml_is_told_where_it_breaks() {
    insta::assert_snapshot!(wrong(r#"[[deny]
who = ["user:bob"]
"#), @r"
    policy.toml:1:8: unclosed array table, expected `]`
      |
    1 | [[deny]
      |        ^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    ");
    insta::assert_snapshot!(wrong(r#"[[deny]]
who = ["user:bob"
"#), @r#"
    policy.toml:2:18: unclosed array, expected `]`
      |
    2 | who = ["user:bob"
      |                  ^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
    insta::assert_snapshot!(wrong(r#"[[deny]]
who = ["user:bob]
[[allow]]
who = user:bob
"#), @r#"
    policy.toml:2:18: invalid basic string, expected `"`
      |
    2 | who = ["user:bob]
      |                  ^
    policy.toml:3:1: missing comma between array elements, expected `,`
      |
    3 | [[allow]]
      | ^
    policy.toml:4:1: missing comma between array elements, expected `,`
      |
    4 | who = user:bob
      | ^
    3 errors; mend the file, then try it with: usherd policy check policy.toml
    "#);
    insta::assert_snapshot!(wrong("[groups.a]\nusers = []\n[groups.a]\nusers = []\n"), @r"
    policy.toml:3:9: duplicate key
      |
    3 | [groups.a]
      |         ^
    policy.toml:4:1: duplicate key
      |
    4 | users = []
      | ^^^^^
    2 errors; mend the file, then try it with: usherd policy check policy.toml
    ");
}

#[test]
fn one_bracket_where_two_belong_is_told() {
    insta::assert_snapshot!(wrong(r#"[deny]
who = ["user:bob"]
"#), @r"
    policy.toml:1:1: `deny` is one table; expected rules that begin with `[[deny]]`, in two brackets
      |
    1 | [deny]
      | ^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    ");
    insta::assert_snapshot!(wrong(r#"deny = ["bob"]
"#), @r#"
    policy.toml:1:9: `deny` is a list of something else; expected rules that begin with `[[deny]]`, in two brackets
      |
    1 | deny = ["bob"]
      |         ^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
    insta::assert_snapshot!(wrong(r#"[[groups]]
name = "a"
"#), @r"
    policy.toml:1:1: groups have names; expected tables that begin with `[groups.NAME]`
      |
    1 | [[groups]]
      | ^^^^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    ");
    insta::assert_snapshot!(wrong(r#"[groups]
a = ["bob"]
"#), @r#"
    policy.toml:2:5: `a` is no table; expected `[groups.a]` with `users`, `hosts`, `keys`, `networks` or `groups`
      |
    2 | a = ["bob"]
      |     ^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
}

#[test]
fn a_value_of_another_kind_is_told_what_it_should_be() {
    insta::assert_snapshot!(wrong("enroll = true\n"), @r#"
    policy.toml:1:10: found a boolean; expected a text, like `enroll = "open"`
      |
    1 | enroll = true
      |          ^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
    insta::assert_snapshot!(wrong(r#"[[deny]]
who = "user:bob"
"#), @r#"
    policy.toml:2:7: found a string; expected a list, like `who = ["engineering", "user:bob"]`
      |
    2 | who = "user:bob"
      |       ^^^^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
    insta::assert_snapshot!(wrong(r#"[[deny]]
who = ["user:bob", 7]
"#), @r#"
    policy.toml:2:20: found an integer; expected texts in this list, like `who = ["engineering", "user:bob"]`
      |
    2 | who = ["user:bob", 7]
      |                    ^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
    insta::assert_snapshot!(wrong(r#"[[maximum]]
per = "user"
seats = "2"
"#), @r#"
    policy.toml:3:9: found a string; expected a whole number, like `seats = 2`
      |
    3 | seats = "2"
      |         ^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
    insta::assert_snapshot!(wrong(r#"[[queue]]
backfill = "yes"
"#), @r#"
    policy.toml:2:12: found a string; expected `true` or `false`, like `backfill = true`
      |
    2 | backfill = "yes"
      |            ^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
    insta::assert_snapshot!(wrong("[[linger]]\nlength = 120\n"), @r#"
    policy.toml:2:10: found an integer; expected a text, like `length = "10m"`
      |
    2 | length = 120
      |          ^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
    insta::assert_snapshot!(wrong(r#"[[deny]]
feature = ["acme/solver"]
"#), @r#"
    policy.toml:2:11: found an array; expected a text, like `feature = "acme/solver"`
      |
    2 | feature = ["acme/solver"]
      |           ^^^^^^^^^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
}

#[test]
fn a_choice_that_there_is_not_is_told_the_choices() {
    insta::assert_snapshot!(wrong(r#"enroll = "require"
"#), @r#"
    policy.toml:1:10: `require` is unknown for `enroll`; expected `open`, `required`; did you mean `required`?
      |
    1 | enroll = "require"
      |          ^^^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
    insta::assert_snapshot!(wrong(r#"[[maximum]]
per = "users"
seats = 2
"#), @r#"
    policy.toml:2:7: `users` is unknown for `per`; expected `user`, `host`, `group`; did you mean `user`?
      |
    2 | per = "users"
      |       ^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
}

#[test]
fn an_impossible_duration_is_told_what_one_looks_like() {
    insta::assert_snapshot!(wrong(r#"[[lease]]
length = "10 minutes"
"#), @r#"
    policy.toml:2:10: `10 minutes` is not a length of time: expected numbers with the units d, h, m, s, ms, the largest first, like `10m` or `1h30m`; did you mean `10m`?
      |
    2 | length = "10 minutes"
      |          ^^^^^^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
    insta::assert_snapshot!(wrong(r#"[[lease]]
length = "10"
"#), @r#"
    policy.toml:2:10: `10` is not a length of time: expected numbers with the units d, h, m, s, ms, the largest first, like `10m` or `1h30m`
      |
    2 | length = "10"
      |          ^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
    insta::assert_snapshot!(wrong(r#"[[lease]]
length = "1.5h"
"#), @r#"
    policy.toml:2:10: `1.5h` is not a length of time: expected numbers with the units d, h, m, s, ms, the largest first, like `10m` or `1h30m`
      |
    2 | length = "1.5h"
      |          ^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
    insta::assert_snapshot!(wrong(r#"[[lease]]
length = "48h"
"#), @r#"
    policy.toml:2:10: `length` of 2d is impossible; expected 2s to 1d
      |
    2 | length = "48h"
      |          ^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
    insta::assert_snapshot!(wrong(r#"[[idle]]
after = "0s"
"#), @r#"
    policy.toml:2:9: `after` of 0s is impossible; expected 1s to 30d
      |
    2 | after = "0s"
      |         ^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
    insta::assert_snapshot!(wrong(r#"[[borrow]]
longest = "400d"
"#), @r#"
    policy.toml:2:11: `longest` of 400d is impossible; expected 0s to 366d
      |
    2 | longest = "400d"
      |           ^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
    insta::assert_snapshot!(wrong(r#"[[linger]]
length = "99999999999999999d"
"#), @r#"
    policy.toml:2:10: `99999999999999999d` is not a length of time: expected numbers with the units d, h, m, s, ms, the largest first, like `10m` or `1h30m`
      |
    2 | length = "99999999999999999d"
      |          ^^^^^^^^^^^^^^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    "#);
}

#[test]
fn an_impossible_number_is_told_its_bounds() {
    insta::assert_snapshot!(wrong(r#"[[maximum]]
per = "user"
seats = 0
"#), @r"
    policy.toml:3:9: `seats` is 0; expected 1 to 1000000 (to admit nobody, write `[[deny]]`)
      |
    3 | seats = 0
      |         ^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    ");
    insta::assert_snapshot!(wrong(r#"[[reserve]]
feature = "acme/solver"
who = ["user:bob"]
seats = 0
"#), @r"
    policy.toml:4:9: `seats` is 0; expected 1 to 1000000 (to reserve nothing, take the rule out)
      |
    4 | seats = 0
      |         ^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    ");
    insta::assert_snapshot!(wrong(r#"[[maximum]]
per = "user"
seats = -1
"#), @r"
    policy.toml:3:9: `seats` is -1; expected 1 to 1000000 (to admit nobody, write `[[deny]]`)
      |
    3 | seats = -1
      |         ^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    ");
    insta::assert_snapshot!(wrong("[[priority]]\nlevel = 5000\n"), @r"
    policy.toml:2:9: `level` is 5000; expected -1000 to 1000
      |
    2 | level = 5000
      |         ^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    ");
    insta::assert_snapshot!(wrong("[[borrow]]\nat-home = 99999999999999999999\n"), @r"
    policy.toml:2:11: `at-home` is 99999999999999999999; expected 0 to 1000000
      |
    2 | at-home = 99999999999999999999
      |           ^^^^^^^^^^^^^^^^^^^^
    1 error; mend the file, then try it with: usherd policy check policy.toml
    ");
}
