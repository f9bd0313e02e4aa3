//! One life of mdns-sd: from its start until it is stopped or seen to fail. It decides that; when
//! to begin another, the supervisor does.

use super::clones::{CloneSighting, Clones};
use super::content::Content;
use super::{AdvertState, Board, Setup};
use mdns_sd::{DaemonEvent, DaemonStatus, Receiver, ServiceDaemon, ServiceEvent, ServiceInfo};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use usher_client::discover::SERVICE;
use usher_client::discover::interfaces::{self, Interface};

/// How a life ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// As asked.
    Stopped,
    /// For this reason.
    Failed(String),
}

pub(super) struct Life {
    setup: Setup,
    content: Content,
    state: Board,
    clones: Clones,
    /// Instance name by the interface it was announced on.
    announced: BTreeMap<String, String>,
    ticks: u32,
}

impl Life {
    pub(super) fn new(
        setup: &Setup,
        content: Content,
        state: watch::Sender<AdvertState>,
        clones: mpsc::Sender<CloneSighting>,
    ) -> Self {
        Self {
            clones: Clones::new(content.site(), setup.port, clones),
            setup: setup.clone(),
            content,
            state: Board(state),
            announced: BTreeMap::new(),
            ticks: 0,
        }
    }

    pub(super) async fn run(
        mut self,
        mut wanted: watch::Receiver<Option<Content>>,
        tried: watch::Sender<bool>,
    ) -> Ended {
        let begun = self.begin();
        tried.send_replace(true);
        let (daemon, monitor) = match begun {
            Ok(begun) => begun,
            Err(error) => return Ended::Failed(format!("mDNS could not be started: {error}")),
        };
        match self.attend(&daemon, monitor, &mut wanted).await {
            Ok(()) => {
                daemon.say_goodbye().await;
                Ended::Stopped
            }
            Err(reason) => Ended::Failed(reason),
        }
    }

    fn begin(&self) -> mdns_sd::Result<(Running, Receiver<DaemonEvent>)> {
        let daemon = Running(ServiceDaemon::new()?);
        let monitor = daemon.0.monitor()?;
        // Its own 5 s would hide a daemon for that long after a link came up.
        daemon.0.set_ip_check_interval(1)?;
        daemon.0.register(self.service()?)?;
        Ok((daemon, monitor))
    }

    fn service(&self) -> mdns_sd::Result<ServiceInfo> {
        let (txt, host) = (self.content.txt(), self.content.host());
        let (name, port) = (self.setup.instance.as_str(), self.setup.port);
        let addresses = &self.setup.addresses[..];
        let info = ServiceInfo::new(SERVICE, name, &host, addresses, port, &txt[..])?;
        Ok(if addresses.is_empty() {
            info.enable_addr_auto()
        } else {
            info
        })
    }

    /// Follows mdns-sd until it is asked to stop; the error is why it cannot go on.
    async fn attend(
        &mut self,
        daemon: &Running,
        monitor: Receiver<DaemonEvent>,
        wanted: &mut watch::Receiver<Option<Content>>,
    ) -> Result<(), String> {
        let mut adverts = daemon.browse()?;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick.reset();
        loop {
            tokio::select! {
                event = monitor.recv_async() => match event {
                    Ok(event) => self.note(event),
                    Err(_) => return Err("mdns-sd stopped".to_owned()),
                },
                advert = adverts.recv_async() => match advert {
                    Ok(advert) => self.watch(advert),
                    // It closes a channel that overflowed.
                    Err(_) => adverts = daemon.browse()?,
                },
                changed = wanted.changed() => {
                    let content = wanted.borrow_and_update().clone();
                    let Some(content) = content.filter(|_| changed.is_ok()) else {
                        return Ok(());
                    };
                    self.content = content;
                    let service = self.service().map_err(|error| error.to_string())?;
                    daemon.0.register(service).map_err(|error| error.to_string())?;
                }
                _ = tick.tick() => {
                    self.check(daemon).await?;
                    if self.ticks.is_multiple_of(CLONES_EVERY) {
                        adverts = daemon.browse_anew()?;
                    }
                }
            }
        }
    }

    fn note(&mut self, event: DaemonEvent) {
        match event {
            // `host:interface` once its name is won there; a list of addresses when it was before.
            DaemonEvent::Announce(fullname, place) => {
                if let Some((_, interface)) = place.rsplit_once(':')
                    && !place.starts_with('[')
                {
                    self.announced
                        .insert(interface.to_owned(), instance(&fullname));
                }
                self.post();
            }
            DaemonEvent::IpAdd(_) | DaemonEvent::IpDel(_) => self.post(),
            DaemonEvent::NameChange(change) => {
                tracing::info!(from = ?change.original, to = ?change.new_name, interface = change.intf_name, "another host has our mDNS name");
            }
            DaemonEvent::Error(error) => tracing::debug!(%error, "mdns-sd"),
            _ => {}
        }
    }

    fn watch(&mut self, event: ServiceEvent) {
        match event {
            ServiceEvent::ServiceResolved(advert) => {
                let up = interfaces::up().unwrap_or_default();
                let own: Vec<IpAddr> = up.iter().flat_map(ips).collect();
                self.clones.see(&advert, &own);
            }
            ServiceEvent::ServiceRemoved(_, fullname) => self.clones.forget(&fullname),
            _ => {}
        }
    }

    /// Posts what is advertised now, as far as the interfaces are still there.
    fn post(&mut self) {
        let up = interfaces::up().unwrap_or_default();
        self.announced
            .retain(|name, _| up.iter().any(|each| each.name == *name));
        if self.announced.is_empty() {
            return self
                .state
                .fail("no network interface carries the advert".to_owned());
        }
        let carrying = up
            .iter()
            .filter(|each| self.announced.contains_key(&each.name));
        self.state.post(AdvertState::Advertising {
            names: self.announced.values().cloned().collect(),
            addrs: carrying.flat_map(|each| self.addrs_on(each)).collect(),
        });
    }

    fn addrs_on(&self, interface: &Interface) -> BTreeSet<SocketAddr> {
        let served =
            |ip: &IpAddr| self.setup.addresses.is_empty() || self.setup.addresses.contains(ip);
        let port = self.setup.port;
        let addr = |ip| match ip {
            IpAddr::V6(v6) if v6.is_unicast_link_local() => {
                SocketAddrV6::new(v6, port, 0, interface.index).into()
            }
            ip => SocketAddr::new(ip, port),
        };
        ips(interface).filter(served).map(addr).collect()
    }

    /// mdns-sd tells of no socket that it could not open: silence is the only sign.
    async fn check(&mut self, daemon: &Running) -> Result<(), String> {
        self.ticks += 1;
        if self.ticks.is_multiple_of(CLONES_EVERY) {
            self.clones.tick();
        }
        daemon.answers().await?;
        let up =
            interfaces::up().map_err(|error| format!("interfaces cannot be listed: {error}"))?;
        let able = |each: &&Interface| !each.loopback && !each.point_to_point;
        let able: Vec<_> = up
            .iter()
            .filter(able)
            .map(|each| each.name.as_str())
            .collect();
        let silent = !able.iter().any(|name| self.announced.contains_key(*name));
        if silent && !able.is_empty() && self.ticks >= SILENT_TICKS_MAX {
            let where_to = able.join(", ");
            return Err(format!(
                "nothing could be advertised on {where_to}: is UDP port 5353 taken, or multicast blocked?"
            ));
        }
        if self.announced.is_empty() && self.ticks >= SILENT_TICKS_MAX {
            self.post();
        }
        Ok(())
    }
}

/// mdns-sd's thread, which outlives its handles unless told to stop.
struct Running(ServiceDaemon);

impl Running {
    fn browse(&self) -> Result<Receiver<ServiceEvent>, String> {
        self.0
            .browse(SERVICE)
            .map_err(|error| format!("mDNS cannot be watched: {error}"))
    }

    /// Asks again at once. Left to itself a browse asks more and more seldom, in the end once an hour, and a clone
    /// whose network is joined to ours only then would not be heard of for as long (L12).
    fn browse_anew(&self) -> Result<Receiver<ServiceEvent>, String> {
        // An error means that there was none.
        let _ = self.0.stop_browse(SERVICE);
        self.browse()
    }

    async fn answers(&self) -> Result<(), String> {
        let status = self
            .0
            .status()
            .map_err(|error| format!("mdns-sd: {error}"))?;
        match tokio::time::timeout(ANSWER_MAX, status.recv_async()).await {
            Ok(Ok(DaemonStatus::Running)) => Ok(()),
            _ => Err("mdns-sd no longer answers".to_owned()),
        }
    }

    /// Shutting down withdraws what is registered; waits until it is done.
    async fn say_goodbye(&self) {
        if let Ok(done) = self.0.shutdown() {
            let _ = tokio::time::timeout(GOODBYE_MAX, done.recv_async()).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has stopped already.
        let _ = self.0.shutdown();
    }
}

fn ips(interface: &Interface) -> impl Iterator<Item = IpAddr> {
    let v4 = interface.v4.iter().map(|ip| IpAddr::V4(*ip));
    v4.chain(interface.v6.iter().map(|ip| IpAddr::V6(*ip)))
}

fn instance(fullname: &str) -> String {
    let suffix = format!(".{SERVICE}");
    let name = fullname.strip_suffix(suffix.as_str()).unwrap_or(fullname);
    name.replace('\\', "")
}

const TICK: Duration = Duration::from_secs(5);
/// A quarter of a minute, in ticks.
const CLONES_EVERY: u32 = 3;
/// Winning a name takes about one second; two ticks are plenty.
const SILENT_TICKS_MAX: u32 = 2;
const ANSWER_MAX: Duration = Duration::from_secs(2);
const GOODBYE_MAX: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instance_is_shown_without_the_service() {
        assert_eq!(instance("lic01 (2)._usher._udp.local."), "lic01 (2)");
    }
}
