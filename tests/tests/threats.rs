//! The threat model (docs/threat-model.md) against the tests: no claim without one that is there, and no
//! word of what is not prevented without its reason. Decides nothing about behavior.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read the workspace must fail"
)]

use std::{collections::BTreeSet, fs};

use usher_tests::catalog::{quoted, root, tests_below};

#[test]
fn every_claim_names_a_test_that_is_there() {
    let known: BTreeSet<String> = FOLDERS.iter().flat_map(|dir| tests_below(dir)).collect();
    assert!(known.len() > 900, "the search finds tests no more");
    let claims = claims(&document());
    assert!(claims.len() > 40, "the search finds claims no more");
    let mut problems = Vec::new();
    for claim in &claims {
        let cited: Vec<_> = claim.cited().collect();
        if claim.needs_a_test() && cited.is_empty() {
            problems.push(claim.at("no test shows this"));
        }
        for name in cited.into_iter().filter(|name| !known.contains(*name)) {
            problems.push(claim.at(&format!("there is no test {name}")));
        }
    }
    none(&problems);
}

#[test]
fn what_is_not_prevented_has_its_reason() {
    let claims = claims(&document());
    let bare = claims.iter().filter(|claim| claim.lacks_a_reason());
    none(&bare.map(|it| it.at("why not?")).collect::<Vec<_>>());
    assert!(claims.iter().any(|claim| !claim.needs_a_test()));
}

#[test]
fn every_attacker_is_named_and_every_one_has_claims() {
    let text = document();
    let attackers: BTreeSet<_> = text
        .lines()
        .filter_map(|l| l.strip_prefix("### "))
        .collect();
    for attacker in ATTACKERS {
        assert!(attackers.contains(attacker), "{attacker} is not named");
    }
    let claims = claims(&text);
    let claimed: BTreeSet<_> = claims.iter().map(|it| it.attacker.as_str()).collect();
    let silent: Vec<_> = attackers.difference(&claimed).collect();
    assert!(silent.is_empty(), "nothing is said of {silent:?}");
}

#[test]
fn a_list_of_an_attacker_holds_claims_alone() {
    let text = document();
    let is_claim = |line: &str| KINDS.iter().any(|kind| line.starts_with(&kind.opening()));
    let inside = text.lines().skip_while(|line| !line.starts_with("### "));
    let strange: Vec<_> = inside
        .filter(|line| line.starts_with("- ") && !is_claim(line))
        .map(str::to_owned)
        .collect();
    none(&strange);
}

#[test]
fn the_checks_themselves_can_fail() {
    let text = "### Eve\n- *Prevented*: one (T1).\n  More.\n  `a/b.rs::c` `x.toml`\n- *Not prevented*: two.\n- *Not detected* (L14): three.\n- *Not prevented*: four, because so.\n\n- *Detected*: five.\n";
    let claims = claims(text);
    assert_eq!(
        claims.iter().map(|it| it.line).collect::<Vec<_>>(),
        [2, 5, 6, 7, 9]
    );
    assert!(claims.iter().all(|it| it.attacker == "Eve"));
    assert_eq!(claims[0].cited().collect::<Vec<_>>(), ["a/b.rs::c"]);
    let needs: Vec<_> = claims.iter().map(Claim::needs_a_test).collect();
    assert_eq!(needs, [true, false, false, false, true]);
    let lacks: Vec<_> = claims.iter().map(Claim::lacks_a_reason).collect();
    assert_eq!(lacks, [false, true, false, false, false]);
    assert_eq!(claims[4].cited().count(), 0);
}

/// One point of an attacker's list, with the lines that belong to it.
struct Claim {
    attacker: String,
    line: usize,
    kind: Kind,
    text: String,
}

impl Claim {
    fn at(&self, what: &str) -> String {
        let first = self.text.lines().next().unwrap_or_default();
        format!("docs/threat-model.md:{}: {what}: {first}", self.line)
    }

    fn needs_a_test(&self) -> bool {
        !self.kind.is_a_no
    }

    fn lacks_a_reason(&self) -> bool {
        self.kind.is_a_no && !self.text.contains("L14") && !self.text.contains("because")
    }

    /// The tests it names, as `path.rs::name`.
    fn cited(&self) -> impl Iterator<Item = &str> {
        quoted(&self.text).filter(|word| word.contains(".rs::"))
    }
}

#[derive(Clone, Copy)]
struct Kind {
    word: &'static str,
    is_a_no: bool,
}

impl Kind {
    fn opening(self) -> String {
        format!("- *{}*", self.word)
    }
}

fn claims(text: &str) -> Vec<Claim> {
    let mut found: Vec<Claim> = Vec::new();
    let mut attacker = String::new();
    let mut goes_on = false;
    for (index, line) in text.lines().enumerate() {
        if let Some(name) = line.strip_prefix("### ") {
            name.clone_into(&mut attacker);
        }
        let kind = KINDS.iter().find(|kind| line.starts_with(&kind.opening()));
        if let Some(kind) = kind {
            found.push(Claim {
                attacker: attacker.clone(),
                line: index + 1,
                kind: *kind,
                text: line.to_owned(),
            });
            goes_on = true;
        } else if goes_on && line.starts_with("  ") {
            let claim = found.last_mut().unwrap();
            claim.text.push('\n');
            claim.text.push_str(line);
        } else {
            goes_on = false;
        }
    }
    found
}

fn document() -> String {
    fs::read_to_string(root().join("docs/threat-model.md")).unwrap()
}

fn none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

const KINDS: [Kind; 5] = [
    Kind {
        word: "Prevented",
        is_a_no: false,
    },
    Kind {
        word: "Detected",
        is_a_no: false,
    },
    Kind {
        word: "Mitigated",
        is_a_no: false,
    },
    Kind {
        word: "Not prevented",
        is_a_no: true,
    },
    Kind {
        word: "Not detected",
        is_a_no: true,
    },
];

/// Those that must stand there, whoever else does.
const ATTACKERS: [&str; 6] = [
    "A rogue host on the LAN",
    "A curious engineer with root on a workstation",
    "A cloned server",
    "A stolen laptop",
    "A tampering administrator",
    "A stolen issuing key",
];

/// Where tests are that a claim may name.
const FOLDERS: [&str; 5] = ["protocol", "client", "daemon", "issuer", "tests"];
