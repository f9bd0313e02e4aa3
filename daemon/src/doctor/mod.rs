//! `usherd doctor`'s checks: is everything there that lending needs, and what is the next step where it is not?
//!
//! It decides what is well, doubtful or wrong. It must not change anything but one small file in the state directory,
//! which it removes again to see how long the disk takes.

mod alerts;
mod firewall;
mod network;
mod running;
mod state;

use usher_client::doctor::{self, Check, CheckUp};

use crate::{
    admin::{
        client::{AdminClient, AdminError},
        protocol::{AlertReport, Answer, Ask, LicenseReport, StatusReport},
    },
    config::Config,
};

/// Makes every check.
pub fn check_up(config: &Config) -> CheckUp {
    let mut checks = vec![policy(config), doctor::clock(), doctor::interfaces()];
    let port = match ask(config) {
        Ok(running) => {
            checks.extend(running::checks(&running));
            checks.extend(alerts::checks(&running.alerts));
            checks.extend(network::checks(config, &running.status));
            network::port_of(&running.status)
        }
        Err(check) => {
            checks.push(check);
            checks.push(network::port_of_a_stopped_daemon(config));
            None
        }
    };
    checks.push(firewall::check(port.unwrap_or_else(|| wanted_port(config))));
    checks.extend(state::checks(config));
    CheckUp::of(checks)
}

/// What a configuration that cannot be read comes to: nothing else can be looked at.
pub fn without_configuration(message: &str) -> CheckUp {
    CheckUp::of(vec![Check::fail("configuration", message, "usherd check")])
}

/// What the daemon said of itself.
struct Running {
    status: StatusReport,
    licenses: Vec<LicenseReport>,
    alerts: Vec<AlertReport>,
}

fn ask(config: &Config) -> Result<Running, Check> {
    let mut daemon = AdminClient::connect(&config.admin_socket).map_err(|error| absent(&error))?;
    let status = daemon.ask(Ask::Status).map_err(|error| absent(&error))?;
    let licenses = daemon.ask(Ask::Licenses).map_err(|error| absent(&error))?;
    let alerts = daemon.ask(Ask::Alerts).map_err(|error| absent(&error))?;
    match (status, licenses, alerts) {
        (Answer::Status(status), Answer::Licenses(licenses), Answer::Alerts(alerts)) => {
            Ok(Running {
                status: *status,
                licenses,
                alerts,
            })
        }
        _ => Err(Check::fail(
            "daemon",
            "it answers something else than this command asks",
            "systemctl restart usherd, so that both are of one version",
        )),
    }
}

fn absent(error: &AdminError) -> Check {
    if error.is_not_running() {
        return Check::fail(
            "daemon",
            "none answers on the admin socket",
            "systemctl start usherd, then journalctl -u usherd",
        );
    }
    Check::fail(
        "daemon",
        error.to_string(),
        "run this as root or as a member of the group usherd",
    )
}

fn policy(config: &Config) -> Check {
    match config.load_policy() {
        Ok(policy) => Check::ok("policy", policy.summary()),
        Err(error) => Check::fail(
            "policy",
            error.to_string(),
            format!("mend {}, then usherd policy check", config.policy.display()),
        ),
    }
}

fn wanted_port(config: &Config) -> u16 {
    let first = config.listen.first();
    first.map_or(
        usher_protocol::limits::PORT_DEFAULT,
        std::net::SocketAddr::port,
    )
}
