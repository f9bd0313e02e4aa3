//! The command line: what may be said, and nothing of what it does.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use usher_pages::Pages;
use usher_protocol::{
    ids::{Fingerprint, PublicKey},
    names::{CustomerId, LicenseId, VendorName},
    time::DurationMs,
};

use crate::terms::FeatureTerms;

/// Keeps a vendor's private keys and signs pool licenses, off line.
#[derive(Debug, Parser)]
#[command(name = "usher-issuer", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// The vendor's root and issuing keys.
    #[command(subcommand)]
    Key(KeyVerb),
    /// Pool licenses.
    #[command(subcommand)]
    License(LicenseVerb),
    /// Declare an issuing key or a license void; travels inside every later license.
    Revoke(Revoke),
    /// What was ever signed.
    #[command(subcommand)]
    Log(LogVerb),
    #[command(flatten)]
    Pages(Pages),
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyVerb {
    /// Make a root key and a first issuing key.
    New(KeyNew),
    /// Show public keys, fingerprints and certificates.
    Show(KeyShow),
    /// Make a new issuing key; the old one's licenses stay good.
    Rotate(KeyRotate),
}

#[derive(Debug, Subcommand)]
pub(crate) enum LicenseVerb {
    /// Sign a pool license for a site.
    New(Box<LicenseNew>),
    /// Print what a license says.
    Show(LicenseFile),
    /// Check a license's whole chain.
    Verify(LicenseVerify),
}

#[derive(Debug, Subcommand)]
pub(crate) enum LogVerb {
    /// List the signatures made.
    Show(LogShow),
    /// Check that no line was edited, removed or cut off.
    Verify(LogVerify),
}

/// Which vendor's keys, and how to open them.
#[derive(Debug, Args)]
pub(crate) struct Keys {
    /// The vendor; needed only when there are several.
    #[arg(long)]
    pub(crate) vendor: Option<VendorName>,
    /// The key directory [default: `$XDG_DATA_HOME/usher-issuer/VENDOR`].
    #[arg(long, env = "USHER_ISSUER_DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// A file whose content is the passphrase [else: `USHER_ISSUER_PASSPHRASE`, else asked].
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct KeyNew {
    /// The vendor's name, the part before the slash of `acme/solver`.
    #[arg(long)]
    pub(crate) vendor: VendorName,
    /// The key directory to make [default: `$XDG_DATA_HOME/usher-issuer/VENDOR`].
    #[arg(long, env = "USHER_ISSUER_DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Keep the root key in this file instead, on media of its own.
    #[arg(long, value_name = "FILE")]
    pub(crate) root_key: Option<PathBuf>,
    /// A file whose content is the passphrase [else: `USHER_ISSUER_PASSPHRASE`, else asked].
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// How long the first issuing key may sign; no license may expire later.
    #[arg(long, default_value = CERTIFICATE_LENGTH)]
    pub(crate) valid: DurationMs,
}

#[derive(Debug, Args)]
pub(crate) struct KeyShow {
    #[command(flatten)]
    pub(crate) keys: Keys,
    /// Machine-readable.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct KeyRotate {
    #[command(flatten)]
    pub(crate) keys: Keys,
    /// Where the root key is, if not in the key directory.
    #[arg(long, value_name = "FILE")]
    pub(crate) root_key: Option<PathBuf>,
    /// How long the new issuing key may sign; no license may expire later.
    #[arg(long, default_value = CERTIFICATE_LENGTH)]
    pub(crate) valid: DurationMs,
}

#[derive(Debug, Args)]
pub(crate) struct Revoke {
    #[command(flatten)]
    pub(crate) keys: Keys,
    /// Where the root key is, if not in the key directory.
    #[arg(long, value_name = "FILE")]
    pub(crate) root_key: Option<PathBuf>,
    /// The number of an issuing key, from `key show`.
    #[arg(long, required_unless_present = "license")]
    pub(crate) key: Option<u64>,
    /// A license id.
    #[arg(long)]
    pub(crate) license: Option<LicenseId>,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("site").required(true))]
pub(crate) struct LicenseNew {
    #[command(flatten)]
    pub(crate) keys: Keys,
    /// The request file that `usherd request` printed.
    #[arg(long, value_name = "FILE", group = "site")]
    pub(crate) request: Option<PathBuf>,
    /// The site's public key, when there is no request file.
    #[arg(long, value_name = "ed25519:…", group = "site")]
    pub(crate) site_key: Option<PublicKey>,
    /// `NAME:SEATS` and options: `solver:10,version=2027.1,lease-max=8h`. Repeat for more features.
    ///
    /// SEATS is a number or `unlimited`. Options: version, starts, expires, lease-min, lease-default,
    /// lease-max; overdraft (seats beyond the pool); grouping (what shares one seat: process, user-host,
    /// host, display, or user, which spans hosts and needs claimed-user=true); borrow-max, and with it
    /// early-return (true: a seat returned early is lent anew at once) and write-off (borrowed seats that
    /// may be written off).
    #[arg(long, required = true, value_name = "TERMS")]
    pub(crate) feature: Vec<FeatureTerms>,
    /// Last day of validity, UTC; no later than the issuing certificate's.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) expires: String,
    /// First day of validity, UTC [default: today].
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) starts: Option<String>,
    /// The license id; give an older one's to replace it [default: the next of this vendor].
    #[arg(long)]
    pub(crate) license_id: Option<LicenseId>,
    /// The serial [default: one more than the highest signed for this id].
    #[arg(long)]
    pub(crate) serial: Option<u64>,
    /// The customer's name, for people.
    #[arg(long, default_value = "")]
    pub(crate) customer: String,
    /// The customer's id.
    #[arg(long, default_value = "unnamed")]
    pub(crate) customer_id: CustomerId,
    /// Live or test: test licenses may set tiny lease lengths, and daemons serve them only when told to.
    #[arg(long, value_enum, default_value = "live")]
    pub(crate) environment: EnvironmentArg,
    /// License ids that end when this license is installed.
    #[arg(long, value_name = "ID")]
    pub(crate) replaces: Vec<LicenseId>,
    /// A host name it may run on; repeat for several [default: any].
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Vec<String>,
    /// What refusals tell people to do.
    #[arg(long, value_name = "TEXT")]
    pub(crate) support: Option<String>,
    /// Where the license goes; never overwritten.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum EnvironmentArg {
    Live,
    Test,
}

#[derive(Debug, Args)]
pub(crate) struct LicenseFile {
    /// The license.
    pub(crate) file: PathBuf,
    /// Machine-readable.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LicenseVerify {
    /// The license.
    pub(crate) file: PathBuf,
    /// The vendor key file it must hang on [default: the one in the key directory].
    #[arg(long, value_name = "FILE")]
    pub(crate) vendor_key: Option<PathBuf>,
    /// The vendor; needed only when there are several.
    #[arg(long)]
    pub(crate) vendor: Option<VendorName>,
    /// The key directory.
    #[arg(long, env = "USHER_ISSUER_DIR")]
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct LogShow {
    #[command(flatten)]
    pub(crate) keys: Keys,
    /// Machine-readable, one object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LogVerify {
    #[command(flatten)]
    pub(crate) keys: Keys,
    /// A head printed earlier and kept elsewhere: the log must still contain it.
    #[arg(long, value_name = "NUMBER:HASH", value_parser = noted_head)]
    pub(crate) expect: Option<(u64, Fingerprint)>,
}

fn noted_head(text: &str) -> Result<(u64, Fingerprint), String> {
    let parts = text.split_once(':');
    let head = parts.and_then(|(number, hash)| Some((number.parse().ok()?, hash.parse().ok()?)));
    head.ok_or_else(|| "expected NUMBER:HASH as `log verify` prints it".to_owned())
}

// Keys rotate yearly and licenses of two years must still fit under the last day's key (T7).
const CERTIFICATE_LENGTH: &str = "1100d";
