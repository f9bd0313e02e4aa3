//! `license new`, `license show`, `license verify`.

use std::{fmt::Write, fs, path::Path};

use serde::Serialize;
use usher_protocol::{
    calendar::rfc3339,
    documents::{
        license::{self, Feature, License, VerifiedLicense},
        site_request::VerifiedSiteRequest,
        vendor::VendorKey,
    },
    envelope::DocumentType,
    ids::PublicKey,
    names::LicenseId,
    time::WallMs,
    wire::Environment,
};

use super::{dir, key, open, say, say_json};
use crate::{
    cli::{EnvironmentArg, LicenseFile, LicenseNew, LicenseVerify},
    clock,
    error::Error,
    files,
    log::{Statement, Subject},
    passphrase, terms,
    vault::{self, Vault},
};

/// Signs a license, records the signature, then releases it.
pub(crate) fn new(args: LicenseNew) -> Result<(), Error> {
    if args.output.exists() {
        let words = "is there already and is never overwritten; choose another -o";
        return Err(Error::Usage(format!("{} {words}", args.output.display())));
    }
    let vault = open(&args.keys)?;
    let trusted = vault.trusted()?;
    let (history, _) = vault.log().verify(&trusted)?;
    let output = args.output.clone();
    let passphrase_file = args.keys.passphrase_file.clone();
    let license = license_of(args, &vault, &history)?;
    let newest = vault.newest()?;
    let passphrase = passphrase::ask(passphrase_file.as_deref())?;
    let issuing = vault::open_key(&vault.issuing_path(newest.number), &passphrase)?;
    let text = license::issue(
        &license,
        &issuing,
        &newest.signed,
        vault.revocations()?.as_ref(),
    )
    .map_err(|error| Error::Document(error.to_string()))?;
    let hash = read(text.as_bytes(), &output)?.hash();
    let about = format!(
        "license {} serial {} for {}",
        license.id, license.serial, license.site
    );
    let named = Some((license.id.to_string(), license.serial));
    let subject = Subject {
        document: DocumentType::LICENSE,
        hash,
        license: named,
        about,
    };
    vault
        .log()
        .record(clock::wall(), subject, &issuing, &trusted)?;
    files::create(&output, text.as_bytes(), 0o644)?;
    say(&format!(
        "{}: license {}, serial {}",
        output.display(),
        license.id,
        license.serial
    ));
    Ok(())
}

/// Prints a license for people or programs, its chain checked.
pub(crate) fn show(args: &LicenseFile) -> Result<(), Error> {
    let license = read_file(&args.file)?;
    if args.json {
        return say_json(&Shown::of(&license));
    }
    say(words(&license).trim_end());
    Ok(())
}

/// Checks a license down the chain from a root that is believed.
pub(crate) fn verify(args: &LicenseVerify) -> Result<(), Error> {
    let root = match &args.vendor_key {
        Some(path) => files::read(path)?
            .parse::<VendorKey>()
            .map_err(|error| Error::Document(format!("{}: {error}", path.display())))?,
        None => Vault::open(&dir(args.dir.clone(), args.vendor.as_ref())?)?
            .vendor_key()
            .clone(),
    };
    let license = read_file(&args.file)?;
    if license.root() != root.root {
        return Err(Error::Document(format!(
            "{}: genuine, but of another vendor: its root is {}, not {}",
            args.file.display(),
            license.root().fingerprint(),
            root.root.fingerprint()
        )));
    }
    let (id, serial) = (&license.id, license.serial);
    say(&format!(
        "{}: genuine: license {id}, serial {serial}",
        args.file.display()
    ));
    Ok(())
}

fn license_of(args: LicenseNew, vault: &Vault, history: &[Statement]) -> Result<License, Error> {
    let issued = clock::wall();
    let starts = match &args.starts {
        Some(day) => terms::first_moment(day).map_err(Error::Usage)?,
        None => issued,
    };
    let expires = terms::last_moment(&args.expires).map_err(Error::Usage)?;
    let vendor = key::vendor(vault)?;
    let id = match args.license_id {
        Some(id) => id,
        None => next_id(vendor.as_str(), history)?,
    };
    Ok(License {
        serial: next_serial(&id, args.serial, history)?,
        id,
        vendor,
        customer: if args.customer.is_empty() {
            args.customer_id.to_string()
        } else {
            args.customer
        },
        customer_id: args.customer_id,
        environment: match args.environment {
            EnvironmentArg::Live => Environment::Live,
            EnvironmentArg::Test => Environment::Test,
        },
        site: site(args.request.as_deref(), args.site_key)?,
        hosts: args.host,
        issued,
        replaces: args.replaces,
        support: args.support,
        features: args
            .feature
            .into_iter()
            .map(|it| it.into_feature(starts, expires))
            .collect(),
    })
}

fn site(request: Option<&Path>, key: Option<PublicKey>) -> Result<PublicKey, Error> {
    match (request, key) {
        (Some(path), _) => {
            let bytes = fs::read(path).map_err(Error::file("cannot read", path))?;
            VerifiedSiteRequest::verify(&bytes)
                .map(|request| request.site)
                .map_err(|error| Error::Document(format!("{}: {error}", path.display())))
        }
        (None, Some(key)) => Ok(key),
        (None, None) => Err(Error::Usage("give --request FILE or --site-key".to_owned())),
    }
}

fn next_id(vendor: &str, history: &[Statement]) -> Result<LicenseId, Error> {
    let taken = |id: &str| {
        history
            .iter()
            .any(|it| it.license.as_ref().is_some_and(|l| l.0 == id))
    };
    (1..=u32::MAX)
        .map(|number| format!("{vendor}-{number:04}"))
        .find(|id| !taken(id))
        .ok_or_else(|| Error::Usage("give --license-id".to_owned()))?
        .parse()
        .map_err(|error| Error::Usage(format!("{error}")))
}

/// A serial never goes back: a daemon keeps the highest it has seen (T7).
fn next_serial(id: &LicenseId, wished: Option<u64>, history: &[Statement]) -> Result<u64, Error> {
    let highest = history
        .iter()
        .filter_map(|it| it.license.as_ref())
        .filter(|(name, _)| name == id.as_str())
        .map(|(_, serial)| *serial)
        .max()
        .unwrap_or(0);
    match wished {
        Some(serial) if serial <= highest => Err(Error::Usage(format!(
            "license {id} was signed with serial {highest} before; a daemon would refuse {serial}"
        ))),
        Some(serial) => Ok(serial),
        None => Ok(highest + 1),
    }
}

fn read_file(path: &Path) -> Result<VerifiedLicense, Error> {
    let bytes = fs::read(path).map_err(Error::file("cannot read", path))?;
    read(&bytes, path)
}

fn read(bytes: &[u8], path: &Path) -> Result<VerifiedLicense, Error> {
    VerifiedLicense::verify(bytes)
        .map_err(|error| Error::Document(format!("{}: {error}", path.display())))
}

fn words(license: &VerifiedLicense) -> String {
    let mut text = format!(
        "license      {} serial {}\nvendor       {} ({})\ncustomer     {} ({})\nenvironment  {}\nsite         {}\nissued       {}\n",
        license.id,
        license.serial,
        license.vendor,
        license.root().fingerprint(),
        license.customer,
        license.customer_id,
        environment(license.environment),
        license.site,
        rfc3339(license.issued),
    );
    for feature in &license.features {
        let seats = feature
            .seats
            .map_or("unlimited".to_owned(), |seats| seats.to_string());
        let until = feature
            .expires
            .map_or("for ever".to_owned(), |it| format!("to {}", rfc3339(it)));
        let from = rfc3339(feature.starts);
        let _ = writeln!(
            text,
            "feature      {} seats {seats}, {from} {until}",
            feature.feature
        );
    }
    text
}

fn environment(environment: Environment) -> &'static str {
    match environment {
        Environment::Live => "live",
        Environment::Test => "test",
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    id: &'a str,
    serial: u64,
    vendor: &'a str,
    root: String,
    customer: &'a str,
    customer_id: &'a str,
    environment: Environment,
    site: String,
    hosts: &'a [String],
    issued: String,
    replaces: &'a [LicenseId],
    support: Option<&'a str>,
    features: Vec<ShownFeature<'a>>,
}

#[derive(Serialize)]
struct ShownFeature<'a> {
    name: &'a str,
    seats: Option<u32>,
    version: Option<String>,
    starts: String,
    expires: Option<String>,
    lease_ms_min: u64,
    lease_ms_default: u64,
    lease_ms_max: u64,
    borrow_ms_max: u64,
    overdraft: u32,
    grouping: &'a str,
    claimed_user: bool,
    early_return: bool,
    write_off: u32,
}

impl<'a> Shown<'a> {
    fn of(license: &'a VerifiedLicense) -> Self {
        Self {
            id: license.id.as_str(),
            serial: license.serial,
            vendor: license.vendor.as_str(),
            root: license.root().fingerprint().to_string(),
            customer: &license.customer,
            customer_id: license.customer_id.as_str(),
            environment: license.environment,
            site: license.site.to_string(),
            hosts: &license.hosts,
            issued: rfc3339(license.issued),
            replaces: &license.replaces,
            support: license.support.as_deref(),
            features: license.features.iter().map(ShownFeature::of).collect(),
        }
    }
}

impl<'a> ShownFeature<'a> {
    fn of(feature: &'a Feature) -> Self {
        Self {
            name: feature.feature.as_str(),
            seats: feature.seats,
            version: feature.version.map(|version| version.to_string()),
            starts: rfc3339(feature.starts),
            expires: feature.expires.map(rfc3339 as fn(WallMs) -> String),
            lease_ms_min: feature.lease_ms_min.0,
            lease_ms_default: feature.lease_ms_default.0,
            lease_ms_max: feature.lease_ms_max.0,
            borrow_ms_max: feature.borrow_ms_max.0,
            overdraft: feature.overdraft,
            grouping: feature.grouping.as_str(),
            claimed_user: feature.claimed_user,
            early_return: feature.early_return,
            write_off: feature.write_off,
        }
    }
}
