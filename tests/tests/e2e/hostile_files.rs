//! Is whatever comes over the admin socket or stands in a file told what is wrong with it, while the daemon serves on?

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use usher_tests::daemon::Daemon;
use usher_tests::station::Station;

use super::usher_site::{Site, stderr};
use usher_tests::peer::Cost;

#[test]
fn nonsense_on_the_admin_socket_is_told_so_and_costs_nothing() {
    let site = Site::new(TERMS);
    let before = Cost::of(&site.daemon);
    for (question, expected) in QUESTIONS {
        let mut socket = connect(&site.daemon);
        socket.write_all(question).unwrap();
        let mut answer = String::new();
        BufReader::new(&socket).read_line(&mut answer).unwrap();
        println!(
            "{} → {}",
            String::from_utf8_lossy(question).trim_end(),
            answer.trim_end()
        );
        assert!(answer.contains(expected), "{answer}");
        // The connection goes on.
        socket
            .write_all(b"{\"version\":1,\"ask\":{\"verb\":\"status\"}}\n")
            .unwrap();
        answer.clear();
        BufReader::new(&socket).read_line(&mut answer).unwrap();
        assert!(answer.contains("\"connections\""), "{answer}");
    }
    // A line without end, up to the bound and beyond it.
    let mut endless = connect(&site.daemon);
    let chunk = vec![b'x'; 1 << 16];
    let taken = (0..64)
        .take_while(|_| endless.write_all(&chunk).is_ok())
        .count();
    let mut answer = Vec::new();
    let _ = endless.read_to_end(&mut answer);
    println!(
        "a line without end: closed after at most {taken} × 64 KiB, with {} bytes of answer",
        answer.len()
    );
    assert!(taken < 64);
    let mut half = connect(&site.daemon);
    half.write_all(b"{\"version\":1,\"ask\":{\"verb\":\"lea")
        .unwrap();
    half.shutdown(Shutdown::Write).unwrap();
    assert_eq!(half.read_to_end(&mut Vec::new()).unwrap(), 0);
    site.daemon.ask(&["status"]);
    drop((endless, half));
    before.until_as_few_files(&site.daemon);
    before.grown_little(&site.daemon, "nonsense on the admin socket");
    assert!(
        site.run(&["--test", "acme/solver", "--", "true"])
            .status
            .success()
    );
}

/// A3: past the bound the one that has been silent longest makes room; an administrator never waits for it.
#[test]
fn idle_administrators_keep_nobody_out() {
    let site = Site::new(TERMS);
    let before = Cost::of(&site.daemon);
    let idle: Vec<_> = (0..500).map(|_| connect(&site.daemon)).collect();
    site.daemon.ask(&["status"]);
    assert!(
        site.run(&["--test", "acme/solver", "--", "true"])
            .status
            .success()
    );
    let now = Cost::of(&site.daemon);
    println!(
        "500 idle administrators: descriptors {} → {}",
        before.files, now.files
    );
    assert!(now.files <= before.files + usherd::limits::ADMIN_CONNECTIONS_MAX + 8);
    drop(idle);
    before.until_as_few_files(&site.daemon);
    before.grown_little(&site.daemon, "500 idle administrators, gone");
}

#[test]
fn a_bad_configuration_fails_the_start_and_never_a_reload() {
    let station = Station::here();
    let good = station.home().join("usherd.toml");
    fs::write(&good, "name = \"lic01\"\n").unwrap();
    let mut daemon = Daemon::start(&station);
    daemon.kill();
    for (file, expected) in bad_files(&station) {
        daemon.set("CONFIG", file.to_str().unwrap());
        if expected.is_empty() {
            continue;
        }
        let output = daemon.start_and_fail();
        let said = stderr(&output);
        println!("--- {}\n{said}", file.display());
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(
            said.contains(expected) && said.contains(file.to_str().unwrap()),
            "{said}"
        );
        let check = daemon
            .admin(&["check", file.to_str().unwrap()])
            .output()
            .unwrap();
        assert!(!check.status.success(), "{}", stderr(&check));
    }
    daemon.set("CONFIG", good.to_str().unwrap());
    daemon.start_again();
    let pid = daemon.pid();
    for (file, _) in bad_files(&station) {
        fs::remove_file(&good)
            .or_else(|_| fs::remove_dir(&good))
            .unwrap();
        if file.is_dir() {
            fs::create_dir(&good).unwrap();
        } else {
            fs::copy(&file, &good).unwrap();
        }
        daemon.signal(Signal::HUP);
        let empty_is_fine = file.ends_with("empty");
        assert_eq!(
            daemon.admin(&["reload"]).output().unwrap().status.success(),
            empty_is_fine,
            "{}",
            file.display()
        );
    }
    assert_eq!(daemon.pid(), pid);
    daemon.ask(&["status"]);
}

#[test]
fn a_bad_license_file_is_refused_and_the_old_one_serves() {
    let site = Site::new(TERMS);
    for (file, _) in bad_files(&site.station) {
        let output = site
            .daemon
            .admin(&["license", "add", "--yes", file.to_str().unwrap()])
            .output()
            .unwrap();
        let said = stderr(&output);
        println!("--- {}\n{said}", file.display());
        assert!(!output.status.success(), "{said}");
        assert!(
            said.contains(';') && said.len() > 40,
            "no next step: {said}"
        );
    }
    let missing = site
        .daemon
        .admin(&["license", "add", "/no/such.lic"])
        .output()
        .unwrap();
    assert!(!missing.status.success() && stderr(&missing).contains("/no/such.lic"));
    assert!(
        site.run(&["--test", "acme/solver", "--", "true"])
            .status
            .success()
    );
}

/// T6: the client's own words are made printable before they leave, and others see them so.
#[test]
fn names_that_are_not_text_do_not_keep_their_owner_from_a_seat() {
    let site = Site::new(TERMS);
    let user = "j\\366rg\\033[2Jx";
    let script = "export USER=\"$(printf \"$1\")\" DISPLAY=\"$(printf \"$1\")\"; printf 'h\\366st' > /proc/sys/kernel/hostname; shift; exec \"$@\"";
    let usher = usher_tests::bins::path("usher");
    for (user, shown) in [
        (user.to_owned(), "j\u{fffd}rg\u{fffd}[2Jx"),
        ("x".repeat(5000), "xxxxxxxx"),
        (String::new(), "root"),
    ] {
        let usherd = site.usher();
        let mut command = site.station.command("unshare");
        command.envs(
            usherd
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        command
            .args(["-Ur", "--uts", "sh", "-c", script, "sh", &user])
            .arg(&usher);
        let list = format!("{} leases", usher_tests::bins::path("usherd").display());
        command.env("USHERD_ADMIN_SOCKET", site.daemon.admin_socket());
        command.args(["run", "--test", "acme/solver", "--", "sh", "-c", &list]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let listed = String::from_utf8(output.stdout).unwrap();
        println!("{listed}");
        assert!(listed.contains(shown), "{listed}");
        assert!(!listed.contains('\u{1b}'), "{listed:?}");
    }
}

/// What no configuration and no license is; the expected words are those of a configuration.
fn bad_files(station: &Station) -> Vec<(PathBuf, &'static str)> {
    let directory = station.home().join("bad");
    fs::create_dir_all(directory.join("directory")).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(directory.join(name), bytes).unwrap();
    write("truncated", b"name = \"lic");
    write("unclosed", b"listen = [\"[::]:1\",\n");
    write("empty", b"");
    write("binary", &[0xff, 0xfe, 0x00, 0x01, 0x7f]);
    write("nul", b"name = \"\0\"\n");
    write("deep", &[b"x = ".to_vec(), vec![b'['; 30_000]].concat());
    File::create(directory.join("huge"))
        .unwrap()
        .set_len(100 << 20)
        .unwrap();
    let names = [
        ("truncated", ":1:12"),
        ("unclosed", ":"),
        ("directory", "cannot read"),
        ("empty", ""),
        ("binary", "not UTF-8"),
        ("nul", ":1:"),
        ("deep", ":1:"),
        ("huge", "longer than"),
    ];
    names
        .map(|(name, expected)| (directory.join(name), expected))
        .into()
}

fn connect(daemon: &Daemon) -> UnixStream {
    let socket = UnixStream::connect(daemon.admin_socket()).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    socket
        .set_write_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    socket
}

const TERMS: &[&str] = &["--environment", "test", "--feature", "solver:10"];
const QUESTIONS: &[(&[u8], &str)] = &[
    (b"\n", "admin version"),
    (b"hello\n", "admin version"),
    (b"\xff\xfe\x00\n", "admin version"),
    (b"{\"version\":1\n", "admin version"),
    (
        b"{\"version\":9,\"ask\":{\"verb\":\"status\"}}\n",
        "admin version",
    ),
    (
        b"{\"version\":-1,\"ask\":{\"verb\":\"status\"}}\n",
        "admin version",
    ),
    (b"{\"version\":1}\n", "missing field"),
    (
        b"{\"version\":1,\"ask\":{\"verb\":\"dance\"}}\n",
        "unknown variant",
    ),
    (
        b"{\"version\":1,\"ask\":{\"verb\":\"status\"},\"more\":1}\n",
        "unknown field",
    ),
    (
        b"{\"version\":1,\"ask\":{\"verb\":\"evict\",\"lease\":\"no\",\"reason\":\"\"}}\n",
        "makes no sense",
    ),
    (
        b"{\"version\":1,\"ask\":{\"verb\":\"license-add\",\"text\":\"\"}}\n",
        "not a license file",
    ),
];
