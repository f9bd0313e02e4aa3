//! The administrator's policy and verbs against a running daemon: what takes effect, and what a mistake changes.

use std::fs;

use crate::admin_ground::{Site, failed};

impl Site {
    /// Writes the policy where this daemon looks for it.
    fn policy(&self, text: &str) {
        fs::write(self.daemon.state_dir().join("policy.toml"), text).unwrap();
    }
}

#[test]
fn a_mistake_in_the_policy_is_told_and_the_running_one_stays() {
    let site = Site::lending();
    let wrong = "[[deny]]\nfeature = \"acme/solver\"\nwho = [\"staf\"]\n\n[[denny]]\n";
    site.policy(wrong);
    let (code, said) = site.fails(&["reload"]);
    assert_eq!(code, 1, "{said}");
    let expected = [
        "policy.toml:3:8: ",
        "\n3 | who = [\"staf\"]\n  |        ^^^^^^\n",
        "policy.toml:5:3: ",
        "2 errors; mend the file",
    ];
    for expected in expected {
        assert!(said.contains(expected), "no {expected:?} in {said}");
    }
    let seat = site.client().checkout("solver").send();
    assert!(seat.is_ok(), "nobody is denied anything");
}

#[test]
fn a_mistake_in_the_policy_fails_the_start_as_one_in_the_configuration() {
    let mut site = Site::lending();
    site.daemon.terminate();
    site.policy("enroll = \"always\"\n");
    let (code, said) = failed(&site.daemon.start_and_fail());
    assert_eq!(code, 78, "{said}");
    assert!(said.contains("policy.toml:1:10: "), "{said}");
    let chosen = site.station.home().join("none.toml");
    site.daemon.set("POLICY", chosen.to_str().unwrap());
    let (code, said) = failed(&site.daemon.start_and_fail());
    assert_eq!(code, 78, "{said}");
    assert!(said.contains("none.toml"), "{said}");
}
