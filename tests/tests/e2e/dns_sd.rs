//! Is a server found where multicast does not reach, by what a real DNS server says of a domain? And does a DNS server
//! that is wrong, silent or empty keep anybody from anything?

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use usher_tests::daemon::{Daemon, Vendor};
use usher_tests::hosts::{Host, Lan, on_lan};

#[test]
fn a_client_behind_a_router_finds_its_server_by_its_domain() {
    on_lan(|lan| {
        let Some(field) = Field::new(lan) else { return };
        let (server, desk) = (&field.servers[0], field.desk(lan));
        desk.move_behind_router();
        let told = desk.usher(&["run", "acme/solver", "--", "true"]);
        assert_eq!(told.status.code(), Some(69), "no multicast comes here");

        // The lines that usherd prints are what dnsmasq is given.
        let lines = server.records(&["--priority", "3"]);
        field.dns.say(&(lines + &server.address()));
        let found = desk.json(&["find", "--json", "--domain", DOMAIN]);
        let row = &found[0];
        assert_eq!(
            (&row["source"], &row["proven"]),
            (&"DNS".into(), &true.into()),
            "{found}"
        );
        assert_eq!(row["vendor"], "acme");
        let told = desk.usher(&["run", "acme/solver", "--domain", DOMAIN, "--", "true"]);
        assert!(told.status.success(), "{told:?}");

        // An administrator may have written the SRV record alone; a file of settings may name the domain.
        desk.forget();
        let plain = format!("srv-host=_usher._udp.{DOMAIN},lic01.{DOMAIN},27443\n");
        field.dns.say(&(plain + &server.address()));
        let settings = desk.host.home().join(".config/usher/usher.toml");
        fs::write(settings, format!("domain = \"{DOMAIN}\"\n")).unwrap();
        let told = desk.usher(&["run", "acme/solver", "--", "true"]);
        assert!(told.status.success(), "{told:?}");
        let finding = desk.dns_line(&[]);
        assert_eq!(finding["level"], "ok", "{finding}");
        assert!(said(&finding, "finding").contains("names lic01.cad.example:27443"));
    });
}

#[test]
fn a_dns_server_that_is_wrong_or_silent_keeps_nobody_from_mdns() {
    on_lan(|lan| {
        let Some(field) = Field::new(lan) else { return };
        let desk = field.desk(lan);
        let run = ["run", "acme/solver", "--domain", DOMAIN, "--", "true"];
        // A name without a server, a host that is not there, another service, this host itself.
        for wrong in [
            format!("srv-host=_usher._udp.{DOMAIN},nowhere.{DOMAIN},27443\n"),
            format!(
                "srv-host=_usher._udp.{DOMAIN},h.{DOMAIN},27443\nhost-record=h.{DOMAIN},10.77.0.250\n"
            ),
            format!(
                "srv-host=_usher._udp.{DOMAIN},h.{DOMAIN},53\nhost-record=h.{DOMAIN},{}\n",
                field.dns.host.addr()
            ),
            format!(
                "srv-host=_usher._udp.{DOMAIN},h.{DOMAIN},53\nhost-record=h.{DOMAIN},127.0.0.1\n"
            ),
        ] {
            desk.forget();
            field.dns.say(&wrong);
            let told = desk.usher(&run);
            assert!(told.status.success(), "{wrong}: {told:?}");
        }
        desk.forget();
        field.dns.signal(Signal::STOP);
        let told = desk.usher(&run);
        assert!(told.status.success(), "{told:?}");
        field.dns.signal(Signal::CONT);
    });
}

#[test]
fn servers_are_asked_by_priority_and_the_next_one_serves_where_the_first_is_gone() {
    on_lan(|lan| {
        let Some(mut field) = Field::new(lan) else {
            return;
        };
        let (desk, second) = (field.desk(lan), Server::new(lan, "lic02", &field.vendor));
        field.servers.push(second);
        desk.move_behind_router();
        for preferred in [0, 1] {
            let lines = field.servers.iter().enumerate().map(|(place, server)| {
                let priority = if place == preferred { "0" } else { "7" };
                server.records(&["--priority", priority]) + &server.address()
            });
            field.dns.say(&lines.collect::<String>());
            let name = field.servers[preferred].host.name().to_owned();
            // A machine that stalls for the head start's length lets the other one win.
            let found = (0..30).any(|_| desk.served_by() == name);
            assert!(found, "{name} is never asked first");
        }
        field.servers[1].daemon.terminate();
        assert_eq!(desk.served_by(), "lic01");
    });
}

#[test]
fn what_the_dns_did_not_answer_is_told_with_its_next_step() {
    on_lan(|lan| {
        let Some(field) = Field::new(lan) else { return };
        let desk = field.desk(lan);
        let unasked = desk.dns_line(&[]);
        assert_eq!(unasked["level"], "ok");
        assert!(
            said(&unasked, "finding").contains("no domain is named"),
            "{unasked}"
        );
        field.dns.say("local=/example/\ntxt-record=_usher._udp.empty.example,x\nsrv-host=_usher._udp.off.example\n");
        for (domain, finding, next) in [
            (
                "typo.example",
                "there is no _usher._udp.typo.example",
                "usherd dns-records --domain typo.example",
            ),
            ("empty.example", "names no server", "usherd dns-records"),
            (
                "off.example",
                "says that there is no server",
                "usherd dns-records",
            ),
            (
                "other.test",
                "the DNS server answered REFUSED",
                "USHER_SERVER=HOST",
            ),
        ] {
            let line = desk.dns_line(&["--domain", domain]);
            assert_eq!(line["level"], "warn", "{line}");
            assert!(said(&line, "finding").contains(finding), "{line}");
            assert!(said(&line, "next").contains(next), "{line}");
        }
        field.dns.signal(Signal::STOP);
        let line = desk.dns_line(&["--domain", DOMAIN]);
        assert!(said(&line, "finding").contains("no answer about"), "{line}");
        assert!(said(&line, "next").contains("/etc/resolv.conf"), "{line}");
        field.dns.signal(Signal::CONT);
    });
}

/// A vendor, its server lic01 and a DNS server.
struct Field {
    vendor: Vendor,
    servers: Vec<Server>,
    dns: Dns,
}

impl Field {
    /// None where there is no dnsmasq, which is said.
    fn new(lan: &mut Lan) -> Option<Self> {
        let path = "PATH=\"$PATH:/usr/sbin\" command -v dnsmasq > /dev/null";
        if !Command::new("sh")
            .args(["-c", path])
            .status()
            .unwrap()
            .success()
        {
            println!("SKIPPED: no dnsmasq, of the package dnsmasq-base");
            return None;
        }
        let host = lan.host("lic01");
        let vendor = Vendor::new(&host, "acme");
        let server = Server::on(host, &vendor);
        Some(Self {
            dns: Dns::new(lan.host("dns")),
            vendor,
            servers: vec![server],
        })
    }

    /// A workstation that trusts the vendor and asks this DNS server.
    fn desk(&self, lan: &mut Lan) -> Desk {
        let host = lan.host("desk");
        host.set_resolvers(&[self.dns.host.addr()]);
        let trusted = host.home().join(".config/usher/trust.d");
        fs::create_dir_all(&trusted).unwrap();
        let key = self.vendor.directory().join("acme.pub");
        fs::copy(key, trusted.join("acme.pub")).unwrap();
        Desk { host }
    }
}

struct Server {
    host: Host,
    daemon: Daemon,
}

impl Server {
    fn new(lan: &mut Lan, name: &str, vendor: &Vendor) -> Self {
        Self::on(lan.host(name), vendor)
    }

    fn on(host: Host, vendor: &Vendor) -> Self {
        let daemon = Daemon::start_on_host(&host);
        daemon.install(&vendor.license(&daemon, &["--feature", "solver:9"]));
        Self { host, daemon }
    }

    /// What `usherd dns-records` prints for dnsmasq.
    fn records(&self, more: &[&str]) -> String {
        let verb = ["dns-records", "--domain", DOMAIN, "--for", "dnsmasq"];
        self.daemon.ask(&[&verb, more].concat())
    }

    fn address(&self) -> String {
        let (name, address) = (self.host.name(), self.host.addr());
        format!("host-record={name}.{DOMAIN},{address}\n")
    }
}

/// A real dnsmasq.
struct Dns {
    host: Host,
    child: std::cell::RefCell<Option<Child>>,
}

impl Dns {
    fn new(host: Host) -> Self {
        let dns = Self {
            host,
            child: None.into(),
        };
        dns.say("");
        dns
    }

    /// Answers so from now on, and nothing else.
    fn say(&self, lines: &str) {
        self.end();
        let file: PathBuf = self.host.home().join("dnsmasq.conf");
        fs::write(&file, lines).unwrap();
        let address = self.host.addr();
        let child = self
            .host
            .command("sh")
            .env("CONF", &file)
            .args(["-c", DNSMASQ, "sh", &address.to_string()])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        *self.child.borrow_mut() = Some(child);
        for _ in 0..1500 {
            if self.listens(address) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("dnsmasq does not start");
    }

    /// TCP is bound when UDP is.
    fn listens(&self, address: IpAddr) -> bool {
        let asked = self
            .host
            .enter(|| std::net::TcpStream::connect((address, 53)));
        asked.is_ok()
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.borrow();
        kill_process(Pid::from_child(child.as_ref().unwrap()), signal).unwrap();
    }

    fn end(&self) {
        if let Some(mut child) = self.child.borrow_mut().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.end();
    }
}

struct Desk {
    host: Host,
}

impl std::ops::Deref for Desk {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}

impl Desk {
    fn usher(&self, arguments: &[&str]) -> Output {
        let mut command = self.host.command("usher");
        command.args(arguments).stdin(Stdio::null());
        command.output().unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.usher(arguments);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
    }

    /// The line of `usher doctor` about the DNS.
    fn dns_line(&self, more: &[&str]) -> Value {
        let found = self.json(&[&["doctor", "--json"], more].concat());
        let checks = found["checks"].as_array().unwrap();
        let line = checks.iter().find(|it| it["name"] == "dns-sd");
        line.unwrap_or_else(|| panic!("{found}")).clone()
    }

    /// The name of the server that lends a seat to who remembers none.
    fn served_by(&self) -> String {
        self.forget();
        let script = "printf %s \"$USHER_SERVER_NAME\"";
        let run = ["run", "--quiet", "acme/solver", "--domain", DOMAIN, "--"];
        let output = self.usher(&[&run[..], &["sh", "-c", script]].concat());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// No last good server any more.
    fn forget(&self) {
        self.host.sh("rm -rf \"$HOME/.local/state/usher\"");
    }
}

fn said<'a>(check: &'a Value, what: &str) -> &'a str {
    check[what].as_str().unwrap_or_default()
}

const DOMAIN: &str = "cad.example";
/// Stays who it is, for there is no other user in these namespaces; asks nobody else.
const DNSMASQ: &str = "PATH=\"$PATH:/usr/sbin\"
    exec dnsmasq --no-daemon --conf-file=\"$CONF\" --no-resolv --no-hosts \
        --bind-interfaces --except-interface=lo --listen-address=\"$1\"";
