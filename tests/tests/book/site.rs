//! Where a page is walked through: a server `lic01` and a workstation `ws-17` on a network of their own, with the real
//! programs on their paths and the usual directories. What they carry to each other lies in one directory, which is
//! where every command is typed.
//!
//! Three things there are not what they are elsewhere: no systemd runs, so `systemctl` is a script that starts and ends
//! the daemon; `solver` is a script that stands for the program that needs a license; and the issuer takes its
//! passphrase from a variable, for nobody is there to type it.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use tempfile::TempDir;
use usher_tests::{
    bins,
    hosts::{Host, Lan},
};

/// The hosts, and somebody typing on each.
pub(crate) struct Site {
    desk: TempDir,
    server: Host,
    shells: BTreeMap<String, Shell>,
    _others: Vec<Host>,
}

impl Site {
    /// Hosts, and on them what `stage` says.
    pub(crate) fn new(lan: &mut Lan, stage: Option<&str>) -> Self {
        let desk = TempDir::new().unwrap();
        fs::create_dir(desk.path().join("bin")).unwrap();
        for (name, text) in [("systemctl", SYSTEMCTL), ("solver", SOLVER)] {
            let path = desk.path().join("bin").join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let (server, workstation) = (lan.host(SERVER), lan.host(WORKSTATION));
        let names = format!(
            "127.0.0.1 localhost\n{} {SERVER}\n{} {WORKSTATION}\n",
            server.addr(),
            workstation.addr()
        );
        let mut shells = BTreeMap::new();
        for host in [&server, &workstation] {
            host.sh(PLACES);
            fs::write(host.home().join("etc/hosts"), &names).unwrap();
            shells.insert(host.name().to_owned(), Shell::on(host, desk.path()));
        }
        let mut site = Self {
            desk,
            server,
            shells,
            _others: vec![workstation],
        };
        site.prepare(stage);
        site
    }

    fn prepare(&mut self, stage: Option<&str>) {
        let commands = match stage {
            None => &[][..],
            Some("usherd") => &LENDING[..1],
            Some("lending") => &LENDING[..],
            Some(other) => panic!("no stage is called {other}"),
        };
        for (host, command) in commands {
            let (code, said) = self.shell(host).run(command, false);
            assert_eq!(code, 0, "{command}\n{said}");
        }
    }

    /// Somebody on that host.
    pub(crate) fn shell(&mut self, host: &str) -> &mut Shell {
        let shell = self.shells.get_mut(host);
        shell.unwrap_or_else(|| panic!("no host is called {host}"))
    }

    /// A path from the root is the server's; others are on the desk.
    pub(crate) fn write(&self, path: &str, text: &str) {
        if path.starts_with('/') {
            let draft = self.desk.path().join("bin/draft");
            fs::write(&draft, text).unwrap();
            self.server
                .sh(&format!("cp '{}' '{path}'", draft.display()));
        } else {
            fs::write(self.desk.path().join(path), text).unwrap();
        }
    }
}

/// A bash that stays, so that variables do.
pub(crate) struct Shell {
    child: Child,
    stdin: ChildStdin,
    ends: Receiver<String>,
    directory: PathBuf,
    /// The home there, and what a reader's would be.
    home: (String, &'static str),
    count: usize,
}

impl Shell {
    fn on(host: &Host, desk: &Path) -> Self {
        let programs = bins::path("usherd");
        let programs = programs.parent().unwrap();
        let path = [
            desk.join("bin").display().to_string(),
            programs.display().to_string(),
            programs.join("examples").display().to_string(),
            std::env::var("PATH").unwrap(),
            "/usr/sbin:/sbin".to_owned(),
        ];
        let mut bash = host.command("bash");
        bash.args(["--noprofile", "--norc"])
            .env("PATH", path.join(":"))
            .env("USER", "ann")
            .env("LANG", "C.UTF-8")
            .env("TZ", "UTC")
            .env("USHER_ISSUER_PASSPHRASE", "long enough for a test")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = bash.spawn().unwrap();
        let (sender, ends) = mpsc::channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .try_for_each(|it| sender.send(it))
        });
        let stdin = child.stdin.take().unwrap();
        let directory = host.home().join("typed");
        fs::create_dir(&directory).unwrap();
        let home = if host.name() == SERVER {
            "/root"
        } else {
            "/home/ann"
        };
        let mut shell = Self {
            child,
            stdin,
            ends,
            directory,
            home: (host.home().display().to_string(), home),
            count: 0,
        };
        // Whoever enters a host stands in its root.
        let (code, said) = shell.run(
            &format!("cd '{}' && set -o pipefail", desk.display()),
            false,
        );
        assert_eq!(code, 0, "{said}");
        shell
    }

    /// Types a command and returns its exit code and all that it printed. `says_yes`: at a terminal, to a question.
    pub(crate) fn run(&mut self, command: &str, says_yes: bool) -> (i32, String) {
        self.count += 1;
        let script = self.directory.join(format!("{}.sh", self.count));
        let printed = self.directory.join(format!("{}.out", self.count));
        let at_a_terminal = format!(
            "sleep 1 | (sleep 0.3; echo y; cat) | script -qefc {} /dev/null",
            quoted(command)
        );
        let typed = if says_yes { &at_a_terminal } else { command };
        fs::write(&script, typed).unwrap();
        let (script, out) = (script.display(), printed.display());
        // What came before is what `$?` is in the script, as at a terminal.
        writeln!(
            self.stdin,
            ". {script} < /dev/null > {out} 2>&1; r=$?; echo $r; (exit $r)"
        )
        .unwrap();
        let code = self.ends.recv_timeout(PATIENCE);
        let code = code.unwrap_or_else(|_| panic!("this does not end: {command}"));
        let said = fs::read(&printed).unwrap();
        let said = String::from_utf8_lossy(&said).replace('\r', "");
        let said = said.replace(&self.home.0, self.home.1);
        (code.parse().unwrap(), said)
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // Fails only where it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn quoted(command: &str) -> String {
    format!("'{}'", command.replace('\'', r"'\''"))
}

/// Where `#` is typed.
pub(crate) const SERVER: &str = "lic01";
/// Where `$` is typed, unless a page says otherwise.
pub(crate) const WORKSTATION: &str = "ws-17";
const PATIENCE: Duration = Duration::from_mins(2);

/// The host's own `/etc` and `/var/lib`; what is in the machine's `/etc` and may not be read is not needed.
const PLACES: &str = "mkdir $HOME/etc
    cp -r /etc/. $HOME/etc 2> /dev/null || true
    mount --bind $HOME/etc /etc
    mount -t tmpfs tmpfs /var/lib
    mkdir -p /var/lib/usherd /run/usherd /etc/usher
    chmod 700 /var/lib/usherd";

const SYSTEMCTL: &str = r#"#!/bin/bash
end() { kill "$(cat /run/usherd.pid)" && while kill -0 "$(cat /run/usherd.pid)" 2> /dev/null; do sleep 0.05; done; }
begin() {
    setsid usherd serve > /run/usherd.log 2>&1 < /dev/null &
    echo $! > /run/usherd.pid
    for _ in {1..1200}; do
        usherd status 2> /dev/null | grep -q "advertised as" && return 0
        kill -0 $! 2> /dev/null || break
        sleep 0.05
    done
    cat /run/usherd.log >&2
    return 1
}
case "$1 $2" in
    "start usherd") begin ;;
    "stop usherd") end ;;
    "restart usherd") end && begin ;;
    *) echo "systemctl of the tests: not $*" >&2; exit 64 ;;
esac
"#;

const SOLVER: &str = "#!/bin/sh
echo \"solved $*\"
";

/// A daemon; with it a vendor, a license, and a user who trusts the vendor.
const LENDING: [(&str, &str); 6] = [
    (SERVER, "systemctl start usherd"),
    (
        WORKSTATION,
        "usher-issuer key new --vendor acme --valid 30000d && cp ~/.local/share/usher-issuer/acme/acme.pub .",
    ),
    (SERVER, "usherd request > acme.request"),
    (
        WORKSTATION,
        "usher-issuer license new --request acme.request --feature solver:4,borrow-max=7d --feature mesher:1 --expires 2097-12-31 -o acme.lic",
    ),
    (SERVER, "usherd license add acme.lic --yes"),
    (WORKSTATION, "usher trust add acme.pub"),
];
