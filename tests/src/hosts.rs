//! Hosts on a network of their own: network namespaces on one bridge, with IPv4, IPv6 and multicast.
//!
//! Needs no root where the kernel grants user namespaces. The test runs itself once more as the first process
//! of fresh user, mount, process and network namespaces; whatever it starts there ends with it, however it ends.
//! Decides how hosts are joined, cut and addressed; must know nothing of Usher's protocol.

use std::any::type_name_of_val;
use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Deref;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;

use crate::bins;
use crate::station::{Station, told};

/// Runs a test on a network of its own.
///
/// Must be all there is in a `#[test]` function, since that function runs twice: outside, where it only waits for the
/// second run, and inside. Where `USHER_TEST_NO_LAN` says that this machine cannot do it, the test says so and ends.
pub fn on_lan<F: FnOnce(&mut Lan)>(test: F) {
    if let Ok(reason) = env::var(NO_LAN) {
        println!("SKIPPED: {reason}");
    } else if env::var_os(INSIDE).is_some() {
        test(&mut Lan::build());
    } else {
        run_inside(&test_name(type_name_of_val(&test)));
    }
}

/// One broadcast domain, `10.77.0.0/24` and `fd77::/64`, to which the test itself belongs as `10.77.0.1`.
pub struct Lan {
    directory: TempDir,
    hosts: u8,
}

impl Lan {
    /// The network itself; only for a process that [`inside`] has started.
    ///
    /// A test uses [`on_lan`] instead.
    pub fn build() -> Self {
        assert!(
            env::var_os(INSIDE).is_some(),
            "this would change the machine's own network"
        );
        sh("mount -t tmpfs tmpfs /run
            ip link set lo up
            ip link add lan0 type bridge mcast_snooping 0
            echo 0 > /proc/sys/net/ipv6/conf/lan0/accept_dad
            ip addr add 10.77.0.1/24 dev lan0
            ip addr add fd77::1/64 dev lan0 nodad
            ip link set lan0 up
            ip route add default dev lan0");
        Self {
            directory: TempDir::new().unwrap(),
            hosts: 0,
        }
    }

    /// Adds a host and waits until it can be reached. It has a host name, a machine id and a home of its own.
    pub fn host(&mut self, name: &str) -> Host {
        self.hosts += 1;
        let home = self.directory.path().join(name);
        fs::create_dir(&home).unwrap();
        let host = Host::start(name, home, self.hosts);
        host.join();
        host
    }
}

/// A machine on the LAN: namespaces for network, mounts and host name. Dropping it ends what holds them.
pub struct Host {
    name: String,
    number: u8,
    address: AtomicU8,
    station: Station,
    holder: Child,
}

impl Deref for Host {
    type Target = Station;

    fn deref(&self) -> &Station {
        &self.station
    }
}

impl Host {
    fn start(name: &str, home: PathBuf, number: u8) -> Self {
        fs::write(home.join("machine-id"), format!("{number:032x}\n")).unwrap();
        let mut holder = Command::new("unshare")
            .args(["--net", "--mount", "--uts", "sh", "-c", HOLD])
            .args(["sh", name])
            .arg(&home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "ready\n", "host {name} did not start");
        Self {
            name: name.to_owned(),
            number,
            address: AtomicU8::new(number + ADDRESS_FIRST),
            station: Station::of_host(home, holder.id()),
            holder,
        }
    }

    fn join(&self) {
        let (port, pid) = (self.port(), self.holder.id());
        sh(&format!(
            "ip link add {port} type veth peer name eth0 netns {pid}
            ip link set {port} master lan0 up"
        ));
        self.sh("ip link set eth0 up");
        self.set_address();
        self.wait_up();
    }

    /// The host's name, as `hostname` prints it there.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host's IPv4 address on the LAN.
    pub fn addr(&self) -> IpAddr {
        Ipv4Addr::new(10, 77, 0, self.address.load(Relaxed)).into()
    }

    /// The host's IPv6 address on the LAN.
    pub fn addr6(&self) -> IpAddr {
        let last = self.address.load(Relaxed).into();
        Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, last).into()
    }

    /// Where its programs run; it does not end with the host, but nothing starts there any more.
    pub fn station(&self) -> &Station {
        &self.station
    }

    /// Runs code of the test in this host's network: on a new thread, whose sockets and threads stay on the host.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = self.network();
        let entered = || {
            join_network(&namespace);
            work()
        };
        thread::scope(|scope| scope.spawn(entered).join()).unwrap()
    }

    /// Like [`Host::enter`], but the caller goes on meanwhile.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> thread::JoinHandle<T> {
        let namespace = self.network();
        thread::spawn(move || {
            join_network(&namespace);
            work()
        })
    }

    fn network(&self) -> File {
        File::open(format!("/proc/{}/ns/net", self.holder.id())).unwrap()
    }

    /// Loses every packet from and to this host, while its link stays up: a dead switch.
    pub fn cut(&self) {
        sh(&format!("ip link set {} nomaster", self.port()));
    }

    /// Ends what [`Host::cut`] began.
    pub fn restore(&self) {
        sh(&format!("ip link set {} master lan0", self.port()));
        self.wait_up();
    }

    /// Takes the link down, and the carrier with it: a pulled cable.
    pub fn unplug(&self) {
        sh(&format!("ip link set {} down", self.port()));
        let down = "! ip -br link show eth0 | grep -q ' UP '";
        self.wait("still has a link", || self.holds(down));
    }

    /// Ends what [`Host::unplug`] began.
    pub fn plug(&self) {
        sh(&format!("ip link set {} up", self.port()));
        self.wait_up();
    }

    /// Moves the host to addresses that it never had; the old ones are gone at once.
    pub fn change_addr(&self) {
        self.address.fetch_add(ADDRESS_STEP, Relaxed);
        self.set_address();
        self.wait_up();
    }

    /// Moves the host behind a router, into a network of its own, `10.78.N.0/24`: no multicast passes between it and the LAN.
    pub fn move_behind_router(&self) {
        let (port, number) = (self.port(), self.number);
        sh(&format!(
            "ip link set {port} nomaster
            ip addr add 10.78.{number}.1/24 dev {port}
            echo 1 > /proc/sys/net/ipv4/ip_forward"
        ));
        self.sh(&format!(
            "ip addr flush dev eth0 scope global
            ip addr add 10.78.{number}.2/24 dev eth0
            ip route replace default via 10.78.{number}.1"
        ));
        self.wait("has no link", || {
            self.holds("ping -c 1 -W 1 10.77.0.1 > /dev/null")
        });
    }

    /// The host asks these DNS servers from now on.
    pub fn set_resolvers(&self, servers: &[IpAddr]) {
        let lines = servers.iter().map(|it| format!("nameserver {it}\n"));
        let file = self.station.home().join("resolv.conf");
        fs::write(&file, lines.collect::<String>()).unwrap();
        // It may be a link into /run, which is the host's own.
        self.sh("real=$(readlink -m /etc/resolv.conf)
            mkdir -p \"$(dirname \"$real\")\"
            [ -e \"$real\" ] || : > \"$real\"
            mount --bind \"$HOME/resolv.conf\" \"$real\"");
    }

    /// Takes the interface away altogether, as when a dock is left; its addresses go with it.
    pub fn vanish(&self) {
        sh(&format!("ip link del {}", self.port()));
    }

    /// Another interface of the same name appears, with addresses that the host never had.
    pub fn reappear(&self) {
        self.address.fetch_add(ADDRESS_STEP, Relaxed);
        self.join();
    }

    /// From here on the host has nothing but its link-local IPv6 address.
    pub fn only_link_local(&self) {
        self.sh("ip -4 addr flush dev eth0; ip -6 addr flush dev eth0 scope global");
        assert_eq!(self.sh("ip -4 -br addr show eth0"), "");
    }

    /// From here on so many percent of the packets that reach the host are lost, multicast too, by the kernel's own
    /// chance; 0 ends it. Needs [`can_lose`].
    pub fn lose(&self, percent: u32) {
        assert!(percent < 100);
        self.sh(&format!(
            "nft 'add table inet loss; delete table inet loss; add table inet loss
                add chain inet loss reached {{ type filter hook input priority 0; }}
                add rule inet loss reached iifname eth0 numgen random mod 100 < {percent} drop'"
        ));
    }

    fn set_address(&self) {
        let (v4, v6) = (self.addr(), self.addr6());
        self.sh(&format!(
            "ip addr flush dev eth0 scope global
            ip addr add {v4}/24 dev eth0
            ip addr add {v6}/64 dev eth0 nodad
            ip route replace default via 10.77.0.1"
        ));
    }

    /// Either end of the cable learns of it in its own time.
    fn wait_up(&self) {
        let ready =
            "ip -br link show eth0 | grep -q ' UP ' && ! ip addr show tentative | grep -q .";
        let forwards = format!(
            "ip -d link show {} | grep -q 'bridge_slave state forwarding'",
            self.port()
        );
        self.wait("has no link", || {
            let port = Command::new("sh").args(["-c", &forwards]).status();
            self.holds(ready) && port.unwrap().success()
        });
    }

    fn holds(&self, condition: &str) -> bool {
        let state = self.command("sh").args(["-c", condition]).status();
        state.unwrap().success()
    }

    fn wait(&self, otherwise: &str, is_so: impl Fn() -> bool) {
        for _ in 0..POLLS_MAX {
            if is_so() {
                return;
            }
            thread::sleep(POLL);
        }
        panic!("{} {otherwise}:\n{}", self.name, self.sh("ip addr"));
    }

    fn port(&self) -> String {
        format!("port{}", self.number)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The holder reads its standard input; both calls fail only where it is gone already.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Whether [`Host::lose`] works here; if not, the test that needs it says so and why.
pub fn can_lose() -> bool {
    let said = Command::new("nft").arg("--version").output();
    let can = said.is_ok_and(|it| it.status.success());
    if !can {
        println!("SKIPPED: packet loss needs nft, of the package nftables");
    }
    can
}

fn join_network(namespace: &File) {
    let kind = Some(LinkNameSpaceType::Network);
    move_into_link_name_space(std::os::fd::AsFd::as_fd(namespace), kind).unwrap();
}

/// `crate::module::test::{{closure}}` → `module::test`, as the test runner names it.
fn test_name(closure: &str) -> String {
    let test = closure.strip_suffix("::{{closure}}");
    assert!(
        test.is_some(),
        "on_lan takes a closure written in the test function itself"
    );
    test.unwrap().split_once("::").unwrap().1.to_owned()
}

fn run_inside(test: &str) {
    let programs = bins::path("usherd");
    assert!(programs.is_file());
    let output = inside(test)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .output()
        .unwrap();
    let said = told(&output, test);
    assert!(
        said.contains("1 passed"),
        "no test is named {test}:\n{said}"
    );
    print!("{said}");
}

/// This very program once more, as the first of fresh user, mount, process and network namespaces; `name` is
/// what it does there. Its arguments are the caller's to add.
pub fn inside(name: &str) -> Command {
    // The campaign asks for more rounds of a test than it does by itself.
    let more = env::var_os("USHER_TEST_ROUNDS").is_some();
    let limit_s = if more { "3000" } else { "300" };
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL"])
        .args(["unshare", "-Urnmpf", "--kill-child", "--mount-proc"])
        // The shell stays first process: a program whose parent is process 1 may take itself for orphaned.
        .args([
            "sh",
            "-c",
            "timeout --foreground \"$LIMIT_S\" \"$@\"; exit $?",
            "sh",
        ])
        .arg(env::current_exe().unwrap())
        .env("LIMIT_S", limit_s)
        .env(INSIDE, name);
    command
}

fn sh(script: &str) {
    let output = Command::new("sh").args(["-e", "-c", script]).output();
    told(&output.unwrap(), script);
}

/// Set to the test's name in the run inside the namespaces.
pub(crate) const INSIDE: &str = "USHER_TEST_INSIDE";
const NO_LAN: &str = "USHER_TEST_NO_LAN";
/// Makes the host's own places, then holds its namespaces until standard input closes.
const HOLD: &str = "set -e
    hostname \"$1\"
    mount -t tmpfs tmpfs /run
    if [ -e /etc/machine-id ]; then mount --bind \"$2/machine-id\" /etc/machine-id; fi
    ip link set lo up
    echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad
    echo ready
    exec cat";
const ADDRESS_FIRST: u8 = 10;
const ADDRESS_STEP: u8 = 40;
const POLLS_MAX: u32 = 1500;
const POLL: Duration = Duration::from_millis(20);
