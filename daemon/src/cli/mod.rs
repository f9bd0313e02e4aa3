//! The command line: one file per verb. Decides names and flags; each verb's file decides what it prints.

mod alert;
mod backup;
mod borrows;
mod clients;
mod compat;
mod confirm;
mod demo;
mod dns_records;
mod doctor;
mod explain;
mod failure;
mod leases;
mod license;
mod policy;
mod print;
mod queue;
mod rebuild;
mod reload;
mod report;
mod request;
mod serve;
mod status;
mod suspend;
mod token;
mod usage;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use usher_pages::{Pages, Section};

pub use failure::Failure;

use crate::config::{Overrides, Places};

/// The daemon that lends a site's seats
#[derive(Debug, Parser)]
#[command(
    name = "usherd",
    version,
    propagate_version = true,
    max_term_width = 100
)]
pub struct Cli {
    #[command(flatten)]
    places: Places,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve seats until SIGTERM; SIGHUP reloads
    Serve(serve::ServeArgs),
    /// Sign a throw-away license, serve it, lend a seat: see it work
    Demo(demo::DemoArgs),
    /// Check a configuration file
    Check(reload::CheckArgs),
    /// Let the running daemon read its configuration anew
    Reload,
    /// Check a policy file, or make one of a FlexNet options file
    #[command(subcommand)]
    Policy(policy::PolicyVerb),
    /// Print the signed request to mail to a vendor
    Request(request::RequestArgs),
    /// Print the lines that make a DNS domain name this server
    DnsRecords(dns_records::DnsRecordsArgs),
    /// Add, list and remove licenses
    #[command(subcommand)]
    License(license::LicenseVerb),
    /// Everything at one glance
    Status(status::StatusArgs),
    /// Is everything there that lending needs, and what to do where it is not
    Doctor(doctor::DoctorArgs),
    /// Who holds what
    Leases(leases::LeasesArgs),
    /// Take a lease back at its next renewal
    Evict(leases::EvictArgs),
    /// What a checkout would get, and why not; ends as it would
    #[command(disable_version_flag = true)]
    Explain(explain::ExplainArgs),
    /// Who waits for what
    Queue(queue::QueueArgs),
    /// Lend nothing of a feature or license for now
    Suspend(suspend::SuspendArgs),
    /// Lend a suspended feature or license again
    Resume(suspend::ResumeArgs),
    /// Which client keys are accepted, and which wait for that
    Clients(clients::ClientsArgs),
    /// Accept or remove a client key
    #[command(subcommand)]
    Client(clients::ClientVerb),
    /// What is borrowed for off-line use, and until when
    Borrows(borrows::BorrowsArgs),
    /// Count a borrowed lease that is lost against its license's allowance
    WriteOff(borrows::WriteOffArgs),
    /// Read, prove and export the usage log
    #[command(subcommand)]
    Usage(usage::UsageVerb),
    /// What was used, waited for and denied
    Report(report::ReportArgs),
    /// What is lent to whom, as FlexNet's lmstat tells it
    #[command(disable_version_flag = true)]
    Lmstat(compat::LmstatArgs),
    /// For monitors that call `lmutil`
    #[command(subcommand)]
    Lmutil(compat::LmutilVerb),
    /// A check for Nagios and Icinga
    Nagios(compat::NagiosArgs),
    /// Tell Slurm how many seats are out
    SlurmSync(compat::SlurmArgs),
    /// Tell LSF how many seats are free, again and again
    Elim(compat::ElimArgs),
    /// Copy the live state into a new file, while the daemon runs or not
    Backup(backup::BackupArgs),
    /// Put the live state back to a backup
    Restore(rebuild::RestoreArgs),
    /// Make a live state to go on with, out of what is left
    Repair(rebuild::RepairArgs),
    /// Who is told of what goes wrong, and whether it comes through
    #[command(subcommand)]
    Alert(alert::AlertVerb),
    /// Make, list and end tokens for the HTTPS server
    #[command(subcommand)]
    Token(token::TokenVerb),
    /// Deal with a wall clock that leads
    #[command(subcommand)]
    Clock(confirm::ClockVerb),
    /// Deal with another daemon that has this site key
    #[command(subcommand)]
    Clone(confirm::CloneVerb),
    /// Deal with a store that went back in time
    #[command(subcommand)]
    Rollback(confirm::RollbackVerb),
    #[command(flatten)]
    Pages(Pages),
}

/// Runs the verb that the process's arguments name; what goes wrong is said on standard error.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    let places = cli.places;
    match cli.verb {
        Verb::Serve(args) => serve::run(args, places),
        Verb::Demo(args) => demo::run(&args),
        Verb::Check(args) => reload::check(args, &places),
        Verb::Reload => reload::reload(&places),
        Verb::Policy(verb) => policy::run(verb, &places),
        Verb::Request(args) => request::run(&args, &places),
        Verb::DnsRecords(args) => dns_records::run(&args, &places),
        Verb::License(verb) => license::run(verb, &places),
        Verb::Status(args) => status::run(&args, &places),
        Verb::Doctor(args) => doctor::run(&args, &places),
        Verb::Leases(args) => leases::leases(&args, &places),
        Verb::Evict(args) => leases::evict(args, &places),
        Verb::Explain(args) => explain::run(args, &places),
        Verb::Queue(args) => queue::run(&args, &places),
        Verb::Suspend(args) => suspend::suspend(args, &places),
        Verb::Resume(args) => suspend::resume(args, &places),
        Verb::Clients(args) => clients::list(&args, &places),
        Verb::Client(verb) => clients::run(verb, &places),
        Verb::Borrows(args) => borrows::list(&args, &places),
        Verb::WriteOff(args) => borrows::write_off(args, &places),
        Verb::Usage(verb) => usage::run(&verb, &places),
        Verb::Report(args) => report::run(&args, &places),
        Verb::Lmstat(args) => compat::lmstat(&args, &places),
        Verb::Lmutil(verb) => compat::lmutil(&verb, &places),
        Verb::Nagios(args) => compat::nagios(&args, &places),
        Verb::SlurmSync(args) => compat::slurm(&args, &places),
        Verb::Elim(args) => compat::elim(&args, &places),
        Verb::Backup(args) => backup::run(&args, &places),
        Verb::Restore(args) => rebuild::restore(&args, &places),
        Verb::Repair(args) => rebuild::repair(&args, &places),
        Verb::Alert(verb) => alert::run(&verb, &places),
        Verb::Token(verb) => token::run(verb, &places),
        Verb::Clock(verb) => confirm::clock(verb, &places),
        Verb::Clone(verb) => confirm::clone(verb, &places),
        Verb::Rollback(verb) => confirm::rollback(verb, &places),
        Verb::Pages(pages) => pages
            .make(Cli::command(), Section::Administrator)
            .map_err(|error| Failure::new(format!("cannot write: {error}"))),
    }
}

/// Where the running daemon is heard, by flag, environment, file or default.
pub(crate) fn admin(places: &Places) -> Result<crate::admin::client::AdminClient, Failure> {
    let config = crate::config::Config::load(&Overrides::of_places(places))?;
    Ok(crate::admin::client::AdminClient::connect(
        &config.admin_socket,
    )?)
}
