//! Is a policy file judged off line, and does a FlexNet options file become one?

use std::fs;
use std::path::Path;
use std::process::Output;

use usher_tests::bins::command;

fn usherd(dir: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let usherd = command("usherd").current_dir(dir).args(arguments).output();
    let Output {
        status,
        stdout,
        stderr,
    } = usherd.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn a_policy_is_checked_without_a_daemon_and_all_its_faults_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("policy.toml");
    let check = || usherd(dir.path(), &["policy", "check", "policy.toml"]);
    let (code, _, said) = check();
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("cannot read policy.toml"), "{said}");
    fs::write(
        &path,
        "[groups.g]\nusers = [\"bob\"]\n[[deny]]\nwho = [\"g\"]\n",
    )
    .unwrap();
    let good = "policy.toml: good (1 group; 1 deny)\n";
    assert_eq!(check(), (Some(0), good.to_owned(), String::new()));
    fs::write(
        &path,
        "[[deny]]\nwho = [\"g\"]\n[[linger]]\nlength = \"2\"\n",
    )
    .unwrap();
    let (code, printed, said) = check();
    assert_eq!((code, printed.as_str()), (Some(78), ""));
    for expected in ["policy.toml:2:8: ", "policy.toml:4:10: ", "2 errors;"] {
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn an_options_file_becomes_a_policy_and_what_does_not_fit_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let import = |options: &str| {
        fs::write(dir.path().join("acme.opt"), options).unwrap();
        let arguments = ["policy", "import-flexnet", "acme.opt", "--vendor", "acme"];
        let (code, policy, said) = usherd(dir.path(), &arguments);
        fs::write(dir.path().join("policy.toml"), policy).unwrap();
        let checked = usherd(dir.path(), &["policy", "check", "policy.toml"]);
        assert_eq!(checked.0, Some(0), "{}", checked.2);
        (code, checked.1, said)
    };
    let (code, checked, said) = import("GROUP g bob\nEXCLUDE Solver GROUP g\n");
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert_eq!(checked, "policy.toml: good (1 group; 1 deny)\n");
    let (code, _, said) = import("GROUP g bob\nMAX_OVERDRAFT Solver 2\n");
    assert_eq!(code, Some(1));
    assert!(said.starts_with("acme.opt:2: MAX_OVERDRAFT: "), "{said}");
    let (code, _, said) = usherd(dir.path(), &["policy", "import-flexnet", "acme.opt"]);
    assert_eq!(code, Some(2), "{said}");
}
