//! Whether a firewall of this machine lets the daemon's port through, as far as its own tools tell.
//!
//! Only another machine can tell for sure, so a rule that is missing is a warning.

use std::process::Command;

use usher_client::doctor::Check;
use usher_protocol::limits::PORT_DEFAULT;

pub(super) fn check(port: u16) -> Check {
    of_firewalld(port)
        .or_else(|| of_ufw(port))
        .or_else(|| of_nftables(port))
        .unwrap_or_else(|| {
            Check::ok(
                "firewall",
                "none that could be asked; try `usher find` on another machine",
            )
        })
}

fn of_firewalld(port: u16) -> Option<Check> {
    let running = run("firewall-cmd", &["--state"])?;
    running.contains("running").then(|| {
        let ports = run("firewall-cmd", &["--list-ports"]).unwrap_or_default();
        // It ends with an error where the answer is no.
        let service = run("firewall-cmd", &["--query-service=usher"])
            .and_then(|_| run("firewall-cmd", &["--info-service=usher"]));
        judge_firewalld(&ports, service.as_deref(), port)
    })
}

/// What is open by its number, and what the service is that the package brings, if that is open.
fn judge_firewalld(ports: &str, service: Option<&str>, port: u16) -> Check {
    let wanted = format!("{port}/udp");
    let names = |text: &str| text.split_whitespace().any(|word| word == wanted);
    if names(ports) || service.is_some_and(names) {
        return Check::ok("firewall", format!("firewalld lets UDP {port} in"));
    }
    let rule = if port == PORT_DEFAULT {
        "--add-service=usher".to_owned()
    } else {
        format!("--add-port={wanted}")
    };
    Check::warn(
        "firewall",
        format!("firewalld names no port {wanted}"),
        format!("firewall-cmd --permanent {rule} --add-service=mdns && firewall-cmd --reload"),
    )
}

fn of_ufw(port: u16) -> Option<Check> {
    // Said in more words it would name the ports of an application, but needs a `sysctl`, which not every machine has.
    judge_ufw(&run("ufw", &["status"])?, port)
}

fn judge_ufw(status: &str, port: u16) -> Option<Check> {
    if !status.contains("Status: active") {
        return None;
    }
    let names = |line: &str| {
        let rule = line.split("  ").next().unwrap_or_default();
        let is_by_name = port == PORT_DEFAULT && rule == "Usher";
        let is_it = rule == port.to_string() || rule == format!("{port}/udp");
        (is_it || is_by_name) && line.contains(" ALLOW")
    };
    Some(if status.lines().any(names) {
        Check::ok("firewall", format!("ufw lets UDP {port} in"))
    } else {
        let next = if port == PORT_DEFAULT {
            "ufw allow Usher; and for discovery: ufw allow \"Usher mDNS\"".to_owned()
        } else {
            format!("ufw allow {port}/udp; and for discovery: ufw allow 5353/udp")
        };
        Check::warn(
            "firewall",
            format!("ufw is active and allows no UDP {port}"),
            next,
        )
    })
}

fn of_nftables(port: u16) -> Option<Check> {
    judge_nftables(&run("nft", &["list", "ruleset"])?, port)
}

/// A chain that drops what it does not know, and nothing in all rules that names the port.
fn judge_nftables(rules: &str, port: u16) -> Option<Check> {
    let drops = |line: &str| line.contains("hook input") && line.contains("policy drop");
    if !rules.lines().any(drops) {
        return None;
    }
    let names = |line: &str| {
        let mut words = line.split(|c: char| !c.is_ascii_digit());
        line.contains("dport") && words.any(|word| word == port.to_string())
    };
    Some(if rules.lines().any(names) {
        Check::ok(
            "firewall",
            format!("the packet filter has a rule for port {port}"),
        )
    } else {
        Check::warn(
            "firewall",
            format!("the packet filter drops what it does not know and names no port {port}"),
            format!(
                "nft add rule inet filter input udp dport {{ 5353, {port} }} accept, with your table's and chain's names"
            ),
        )
    })
}

/// What a tool printed, if it is there, may be asked, and answers in time.
fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new("timeout")
        .args(["5", program])
        .args(arguments)
        .output()
        .ok()?;
    let answered = output.status.success();
    answered.then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use usher_client::doctor::Level;

    use super::*;

    #[test]
    fn ufw_is_judged_by_the_rule_for_the_port() {
        let active = "Status: active\n\nTo                         Action      From\n--                         ------      ----\n22/tcp                     ALLOW       Anywhere\n";
        let level = |text: &str| judge_ufw(text, 27_443).map(|it| it.level);
        assert_eq!(level("Status: inactive\n"), None);
        assert_eq!(level(active), Some(Level::Warn));
        let open = format!("{active}27443/udp                  ALLOW       Anywhere\n");
        assert_eq!(level(&open), Some(Level::Ok));
        let denied = format!("{active}27443/udp                  DENY        Anywhere\n");
        assert_eq!(level(&denied), Some(Level::Warn));
        // As the package's definition is told of; the other one in it is not enough.
        let by_name = format!("{active}Usher                      ALLOW       Anywhere\n");
        assert_eq!(level(&by_name), Some(Level::Ok));
        let other = format!("{active}Usher mDNS                 ALLOW       Anywhere\n");
        assert_eq!(level(&other), Some(Level::Warn));
        assert_eq!(
            judge_ufw(&by_name, 27_444).map(|it| it.level),
            Some(Level::Warn)
        );
    }

    #[test]
    fn firewalld_is_judged_by_open_ports_and_by_the_service_that_the_package_brings() {
        let service = "usher\n  ports: 27443/udp\n  protocols: \n  helpers: \n";
        let level = |ports, service, port| judge_firewalld(ports, service, port).level;
        assert_eq!(level("", None, 27_443), Level::Warn);
        assert_eq!(level("22/tcp 27443/udp\n", None, 27_443), Level::Ok);
        assert_eq!(level("27443/tcp\n", None, 27_443), Level::Warn);
        assert_eq!(level("", Some(service), 27_443), Level::Ok);
        assert_eq!(level("", Some(service), 27_444), Level::Warn);
    }

    #[test]
    fn nftables_is_judged_only_where_it_drops_what_it_does_not_know() {
        let table = |policy: &str, rule: &str| {
            format!(
                "table inet filter {{\n\tchain input {{\n\t\ttype filter hook input priority filter; policy {policy};\n\t\t{rule}\n\t}}\n}}\n"
            )
        };
        let level = |text: &str| judge_nftables(text, 27_443).map(|it| it.level);
        assert_eq!(level(&table("accept", "")), None);
        assert_eq!(
            level(&table("drop", "udp dport 5353 accept")),
            Some(Level::Warn)
        );
        assert_eq!(
            level(&table("drop", "udp dport { 5353, 27443 } accept")),
            Some(Level::Ok)
        );
        assert_eq!(
            level(&table("drop", "udp dport 127443 accept")),
            Some(Level::Warn)
        );
    }
}
