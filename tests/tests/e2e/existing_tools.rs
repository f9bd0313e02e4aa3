//! Tools made for other license servers against a real daemon: do they read what is true?

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use super::usher_site::{Site, stderr};

#[test]
fn lmstat_tells_who_holds_what_and_reads_as_an_outage_when_nobody_answers() {
    let mut site = lending();
    let said = site
        .daemon
        .ask(&["lmutil", "lmstat", "-a", "-c", "27000@lic01"]);
    assert!(
        said.contains(
            "Users of solver:  (Total of 10 licenses issued;  Total of 3 licenses in use)\n"
        ),
        "{said}"
    );
    assert!(
        said.contains(
            "Users of mesher:  (Total of 2 licenses issued;  Total of 0 licenses in use)\n"
        )
    );
    let user = said
        .lines()
        .find(|line| line.ends_with(", 3 licenses"))
        .unwrap();
    assert!(
        user.starts_with("    ") && user.contains("), start "),
        "{user}"
    );
    assert!(said.contains("  acme: UP v"), "{said}");
    let info = site.daemon.ask(&["lmstat", "-i", "solver", "-c", "x"]);
    let row = info
        .lines()
        .find(|line| line.starts_with("solver"))
        .unwrap();
    let row: Vec<_> = row.split_whitespace().collect();
    assert_eq!(row, ["solver", "1.0", "10", "acme", "31-dec-2098"]);
    assert!(!site.daemon.ask(&["lmstat", "-c", "x"]).contains("Users of"));
    assert!(site.daemon.ask(&["lmstat", "-v"]).starts_with("lmstat v"));

    // The wrapper that stands in for lmutil.
    let wrapper = Path::new(env!("CARGO_MANIFEST_DIR")).join("../daemon/compat/lmutil");
    let usherd = site.daemon.admin(&[]);
    let directory = Path::new(usherd.get_program()).parent().unwrap();
    let path = format!("{}:/usr/bin:/bin", directory.display());
    let mut called = Command::new(wrapper);
    called.args(["lmstat", "-a"]).env("PATH", path);
    for (name, value) in usherd.get_envs() {
        if let Some(value) = value {
            called.env(name, value);
        }
    }
    let output = called.output().unwrap();
    assert_eq!(
        text(&output),
        site.daemon.ask(&["lmstat", "-a"]),
        "{}",
        stderr(&output)
    );

    assert!(site.daemon.terminate().success());
    let gone = site.daemon.admin(&["lmstat", "-a"]).output().unwrap();
    assert_eq!(gone.status.code(), Some(69));
    assert!(text(&gone).contains("Cannot connect to license server"));
}

#[test]
fn nagios_hears_of_pools_that_run_out_and_of_a_daemon_that_is_gone() {
    let mut site = lending();
    let check = |site: &Site, more: &[&str]| {
        let output = site
            .daemon
            .admin(&[&["nagios"], more].concat())
            .output()
            .unwrap();
        (output.status.code().unwrap(), text(&output))
    };
    let solver = ["--feature", "solver"];
    let (code, said) = check(&site, &solver);
    assert_eq!(
        said,
        "USHER OK - acme/solver 3 of 10 in use | solver=3;8;9;0;10\n"
    );
    assert_eq!(code, 0);
    let above = |warning, critical| check(&site, &["--warning", warning, "--critical", critical]).0;
    assert_eq!((above("2", "9"), above("10%", "20%")), (1, 2));
    assert_eq!(check(&site, &["--feature", "absent"]).0, 3);
    assert_eq!(check(&site, &["--warning", "much"]).0, 3);
    assert_eq!(
        check(&site, &["--feature", "solver", "--expires", "40000d"]).0,
        1
    );
    assert!(site.daemon.terminate().success());
    let (code, said) = check(&site, &solver);
    assert!(code == 2 && said.starts_with("USHER CRITICAL - "), "{said}");
}

#[test]
fn slurm_and_lsf_are_told_what_is_out_and_what_is_free() {
    let site = lending();
    let log = site.station.home().join("sacctmgr.log");
    let bin = site.station.home().join("bin");
    fs::create_dir(&bin).unwrap();
    site.station.sh(&format!(
        "printf '#!/bin/sh\\necho \"$*\" >> {}\\ntest \"$5\" != mesher\\n' > bin/sacctmgr; chmod 755 bin/sacctmgr",
        log.display()
    ));
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let sync = |more: &[&str]| {
        let mut command = site.daemon.admin(&[&["slurm-sync"], more].concat());
        command.env("PATH", &path).output().unwrap()
    };
    assert!(sync(&["--feature", "acme/solver"]).status.success());
    let told = fs::read_to_string(&log).unwrap();
    assert_eq!(told, "-i update resource solver set lastconsumed=3\n");
    let refused = sync(&["--setup", "--feature", "absent"]);
    assert!(stderr(&refused).contains("no license here has absent"));
    let printed = text(&sync(&["--print"]));
    assert_eq!(
        printed,
        "sacctmgr -i update resource mesher set lastconsumed=0\nsacctmgr -i update resource solver set lastconsumed=3\n"
    );
    let setup = text(&sync(&["--print", "--setup", "--server", "lic01"]));
    assert!(
        setup.contains("name=solver type=license server=lic01 servertype=usher count=10"),
        "{setup}"
    );
    // What sacctmgr refuses is said, with the next step.
    site.station
        .sh("printf '#!/bin/sh\\nexit 3\\n' > bin/sacctmgr");
    let failed = sync(&[]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(
        stderr(&failed).contains("slurm-sync --setup"),
        "{}",
        stderr(&failed)
    );
    let elim = site.daemon.ask(&["elim", "--once"]);
    assert_eq!(elim, "2 usher_mesher 2 usher_solver 7\n");
}

/// Ten seats of `solver`, three of them out for one lease, and two of `mesher`.
fn lending() -> Site {
    let site = Site::new(&["--feature", "solver:10", "--feature", "mesher:2"]);
    let output = site.call(&["checkout", "acme/solver", "--seats", "3", "--for", "30m"]);
    assert!(output.status.success(), "{}", stderr(&output));
    site
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}
