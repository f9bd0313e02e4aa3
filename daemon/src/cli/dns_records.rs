//! `usherd dns-records`: the lines that make a DNS domain name this server, for those whom multicast does not reach
//! (RFC 6763). Says what the daemon advertises; must not change a zone.

use usher_client::discover::Domain;
use usher_protocol::ids::{Fingerprint, PublicKey};

use super::{Failure, admin, print};
use crate::{
    admin::{
        client::AdminClient,
        protocol::{Answer, Ask, StatusReport},
    },
    advert::{Content, host_label},
    config::Places,
};

/// Which domain, and for which DNS server.
#[derive(Debug, clap::Args)]
pub(super) struct DnsRecordsArgs {
    /// The domain that workstations are told, like example.com
    #[arg(long)]
    domain: Domain,
    /// This server's name in the DNS, which must have an address there [default: its name in that domain]
    #[arg(long, value_name = "NAME")]
    host: Option<Domain>,
    /// Servers of a lower number are asked first
    #[arg(long, default_value_t = 0)]
    priority: u16,
    /// Whose lines to print
    #[arg(long = "for", value_enum, default_value_t = Kind::Zone)]
    kind: Kind,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// A zone file, as BIND, Knot, NSD and PowerDNS read it
    Zone,
    /// The configuration of dnsmasq
    Dnsmasq,
    /// PowerShell on a Windows DNS server
    Windows,
}

/// Prints them.
pub(super) fn run(args: &DnsRecordsArgs, places: &Places) -> Result<(), Failure> {
    let mut daemon = admin(places)?;
    let status = match daemon.ask(Ask::Status)? {
        Answer::Status(status) => status,
        other => return Err(Failure::of_answer(other)),
    };
    let roots = roots(&mut daemon)?;
    print::text(&Records::of(args, &status, &roots)?.text(args.kind))
}

fn roots(daemon: &mut AdminClient) -> Result<Vec<Fingerprint>, Failure> {
    match daemon.ask(Ask::Licenses)? {
        Answer::Licenses(all) => Ok(all.iter().map(|license| license.root).collect()),
        other => Err(Failure::of_answer(other)),
    }
}

struct Records {
    domain: Domain,
    /// The instance's label; what a zone file would have to escape is a `-` in it.
    label: String,
    host: String,
    port: u16,
    priority: u16,
    txt: Vec<String>,
}

impl Records {
    fn of(
        args: &DnsRecordsArgs,
        status: &StatusReport,
        roots: &[Fingerprint],
    ) -> Result<Self, Failure> {
        let port = status.listen.first();
        let port = port.and_then(|it| it.rsplit(':').next()?.parse().ok());
        let site = status.site.parse::<PublicKey>().ok();
        let (Some(port), Some(site)) = (port, site) else {
            return Err(Failure::new("the daemon does not say where it serves"));
        };
        let label = host_label(&status.name);
        let label: String = label
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        let host = args.host.as_ref();
        let host = host.map_or_else(|| format!("{label}.{}", args.domain), Domain::to_string);
        let txt = Content::new(&site, roots).txt();
        Ok(Self {
            domain: args.domain.clone(),
            label,
            host,
            port,
            priority: args.priority,
            txt: txt.iter().map(|(key, it)| format!("{key}={it}")).collect(),
        })
    }

    fn text(&self, kind: Kind) -> String {
        match kind {
            Kind::Zone => self.zone(),
            Kind::Dnsmasq => self.dnsmasq(),
            Kind::Windows => self.windows(),
        }
    }

    fn zone(&self) -> String {
        let (service, instance) = (self.domain.service(), self.instance());
        let (host, port, priority) = (&self.host, self.port, self.priority);
        let txt: Vec<_> = self.txt.iter().map(|it| format!("\"{it}\"")).collect();
        format!(
            "; {host} needs an address in the DNS.\n\
             {service} 300 IN PTR {instance}.\n\
             {instance}. 300 IN SRV {priority} 0 {port} {host}.\n\
             {instance}. 300 IN TXT {}\n",
            txt.join(" ")
        )
    }

    fn dnsmasq(&self) -> String {
        let (domain, instance) = (&self.domain, self.instance());
        let (host, port, priority) = (&self.host, self.port, self.priority);
        let txt: Vec<_> = self.txt.iter().map(|it| format!(",\"{it}\"")).collect();
        format!(
            "# {host} needs an address in the DNS, as of /etc/hosts or host-record=.\n\
             ptr-record=_usher._udp.{domain},{instance}\n\
             srv-host={instance},{host},{port},{priority},0\n\
             txt-record={instance}{}\n",
            txt.concat()
        )
    }

    /// The SRV record is enough there: its TXT records take one text each.
    fn windows(&self) -> String {
        let (domain, host) = (&self.domain, &self.host);
        let (port, priority) = (self.port, self.priority);
        format!(
            "# {host} needs an address in the DNS.\n\
             Add-DnsServerResourceRecord -Srv -ZoneName {domain} -Name _usher._udp -DomainName {host} -Priority {priority} -Weight 0 -Port {port}\n"
        )
    }

    fn instance(&self) -> String {
        format!("{}._usher._udp.{}", self.label, self.domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Records {
        Records {
            domain: "cad.example".parse().unwrap(),
            label: "lic01".to_owned(),
            host: "lic01.cad.example".to_owned(),
            port: 27443,
            priority: 10,
            txt: vec!["v=1".to_owned(), "roots=01010101,abababab".to_owned()],
        }
    }

    #[test]
    fn each_dns_server_gets_its_own_lines() {
        insta::assert_snapshot!(records().text(Kind::Zone), @r#"
        ; lic01.cad.example needs an address in the DNS.
        _usher._udp.cad.example. 300 IN PTR lic01._usher._udp.cad.example.
        lic01._usher._udp.cad.example. 300 IN SRV 10 0 27443 lic01.cad.example.
        lic01._usher._udp.cad.example. 300 IN TXT "v=1" "roots=01010101,abababab"
        "#);
        insta::assert_snapshot!(records().text(Kind::Dnsmasq), @r#"
        # lic01.cad.example needs an address in the DNS, as of /etc/hosts or host-record=.
        ptr-record=_usher._udp.cad.example,lic01._usher._udp.cad.example
        srv-host=lic01._usher._udp.cad.example,lic01.cad.example,27443,10,0
        txt-record=lic01._usher._udp.cad.example,"v=1","roots=01010101,abababab"
        "#);
        insta::assert_snapshot!(records().text(Kind::Windows), @r"
        # lic01.cad.example needs an address in the DNS.
        Add-DnsServerResourceRecord -Srv -ZoneName cad.example -Name _usher._udp -DomainName lic01.cad.example -Priority 10 -Weight 0 -Port 27443
        ");
    }
}
