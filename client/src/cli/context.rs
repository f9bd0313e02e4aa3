//! What every verb needs: flags that all of them have, paths, trusted roots, and the choice of a
//! vendor by a feature's name. Must not talk to a server, but where a bare name leaves no choice.

use super::{failure::Failure, progress, survey};
use usher_client::{
    Builder, Error,
    error::exit,
    paths::Paths,
    protocol::{
        ids::PublicKey,
        names::{FeatureName, FeaturePath},
        wire::Environment,
    },
    trust::{Trust, TrustedRoot},
};

/// Flags of every verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Global {
    /// Ask this server, HOST or HOST:PORT, and no other (also: USHER_SERVER)
    #[arg(long, global = true, value_name = "ADDR")]
    pub(crate) server: Vec<String>,
    /// Ask the DNS for the servers of this domain, where none is named (also: USHER_DOMAIN)
    #[arg(long, global = true, value_name = "DOMAIN")]
    pub(crate) domain: Option<String>,
    /// Take seats from test licenses, and from no live one
    #[arg(
        long,
        global = true,
        env = "USHER_TEST",
        hide_env_values = true,
        value_parser = clap::builder::BoolishValueParser::new()
    )]
    pub(crate) test: bool,
    /// Say nothing but results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say what is being tried
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

/// This user on this machine, and the flags.
pub(crate) struct Context {
    pub(crate) global: Global,
    pub(crate) paths: Paths,
}

impl Context {
    pub(crate) fn new(global: Global) -> Result<Self, Failure> {
        let paths = Paths::from_environment().map_err(Error::from)?;
        Ok(Self { global, paths })
    }

    pub(crate) fn environment(&self) -> Environment {
        if self.global.test {
            Environment::Test
        } else {
            Environment::Live
        }
    }

    pub(crate) fn trust(&self) -> Result<Trust, Failure> {
        Ok(Trust::load(&self.paths).map_err(Error::from)?)
    }

    /// A client of this vendor, with the flags applied.
    pub(crate) fn builder(&self, root: PublicKey, environment: Environment) -> Builder {
        let mut builder = Builder::new(root).paths(self.paths.clone());
        for server in &self.global.server {
            builder = builder.server(server);
        }
        if let Some(domain) = &self.global.domain {
            builder = builder.domain(domain);
        }
        match environment {
            Environment::Test => builder.test_licenses(),
            Environment::Live => builder,
        }
    }

    /// Own words, for a person: on standard error, so that output stays the child's or a script's.
    pub(crate) fn say(&self, words: &str) {
        if !self.global.quiet {
            eprintln!("{words}");
        }
    }

    /// The vendor and feature that `acme/solver` or `solver` means.
    pub(crate) async fn choose(&self, name: &str) -> Result<(TrustedRoot, FeatureName), Failure> {
        let trust = self.trust()?;
        if name.contains('/') {
            let path: FeaturePath = name.parse().map_err(Error::from)?;
            let root = trust.by_vendor(&path.vendor);
            let root = root.ok_or_else(|| unknown_vendor(&path, &trust))?;
            return Ok((root.clone(), path.feature));
        }
        let feature: FeatureName = name.parse().map_err(Error::from)?;
        match trust.roots() {
            [] => Err(nobody_trusted()),
            [only] => Ok((only.clone(), feature)),
            several => {
                let chosen = self.choose_among(several, &feature);
                let chosen = progress::waiting(self, "asking who serves it", chosen).await?;
                Ok((chosen, feature))
            }
        }
    }

    async fn choose_among(
        &self,
        roots: &[TrustedRoot],
        feature: &FeatureName,
    ) -> Result<TrustedRoot, Failure> {
        let offers = survey::offers(self, roots).await?;
        let mut vendors: Vec<TrustedRoot> = Vec::new();
        for offer in &offers.list {
            if offer.view.feature == *feature && !vendors.contains(&offer.trusted) {
                vendors.push(offer.trusted.clone());
            }
        }
        match vendors.as_slice() {
            [only] => Ok(only.clone()),
            [] if offers.list.is_empty() => Err(Error::from(offers.missed).into()),
            [] => Err(Failure::new(
                format!(
                    "no server found lends `{feature}`\nnext: see `usher features` for what is lent"
                ),
                exit::REFUSED,
            )),
            [first, ..] => Err(Failure::new(
                format!(
                    "several vendors serve `{feature}`\nnext: name one, as in `{}/{feature}`",
                    first.vendor
                ),
                exit::USAGE,
            )),
        }
    }
}

/// The first thing a newcomer meets, so it says where the file comes from.
pub(crate) fn nobody_trusted() -> Failure {
    Failure::new(
        "no vendor is trusted here\n\
         next: `usher trust add VENDOR.pub` with the key file of your software's vendor; \
         `usher find` shows which vendors are served here",
        exit::CONFIGURATION,
    )
}

fn unknown_vendor(path: &FeaturePath, trust: &Trust) -> Failure {
    if trust.roots().is_empty() {
        return nobody_trusted();
    }
    let known: Vec<&str> = (trust.roots().iter())
        .map(|root| root.vendor.as_str())
        .collect();
    Failure::new(
        format!(
            "the vendor `{}` is not trusted here; trusted: {}\n\
             next: `usher trust add {}.pub` with the vendor's key file",
            path.vendor,
            known.join(", "),
            path.vendor
        ),
        exit::CONFIGURATION,
    )
}
