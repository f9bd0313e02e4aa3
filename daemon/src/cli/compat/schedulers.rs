//! `usherd slurm-sync` and `usherd elim`: batch schedulers count the seats that are really there.

use std::{
    io::{self, Write as _},
    process::Command,
    thread,
};

use usher_protocol::time::DurationMs;

use super::site;
use crate::{
    cli::{Failure, print},
    compat::{
        Feature,
        schedulers::{SlurmCommand, elim_line, slurm_add, slurm_update},
    },
    config::Places,
};

/// How to tell Slurm.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct SlurmArgs {
    /// Only this feature; may be said again
    #[arg(long, value_name = "FEATURE")]
    feature: Vec<String>,
    /// Print the commands, run none
    #[arg(long)]
    print: bool,
    /// Make the resources, rather than tell how many seats are out
    #[arg(long)]
    setup: bool,
    /// What Slurm calls this server, with --setup
    #[arg(long, value_name = "NAME", default_value = "usher", requires = "setup")]
    server: String,
}

/// How to tell LSF.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ElimArgs {
    /// How often
    #[arg(long, value_name = "LENGTH", default_value = "30s")]
    interval: DurationMs,
    /// One line, then the end
    #[arg(long)]
    once: bool,
}

/// Runs `sacctmgr`, once for each feature.
pub(in crate::cli) fn slurm(args: &SlurmArgs, places: &Places) -> Result<(), Failure> {
    let site = site(places, false)?;
    let words = args.feature.iter();
    if let Some(word) = words
        .clone()
        .find(|it| site.meant(Some(it)).next().is_none())
    {
        return Err(Failure::new(format!(
            "no license here has {word}; `usherd status` lists features"
        )));
    }
    let is_meant = |feature: &&Feature| {
        let named = |word: &String| site.meant(Some(word)).any(|it| it.path == feature.path);
        args.feature.is_empty() || args.feature.iter().any(named)
    };
    for feature in site.features.iter().filter(is_meant) {
        let command = if args.setup {
            slurm_add(feature, &args.server)
        } else {
            slurm_update(feature)
        };
        if args.print {
            print::text(&(command.line() + "\n"))?;
        } else {
            run(&command)?;
        }
    }
    Ok(())
}

/// A line now and then, until nobody reads.
pub(in crate::cli) fn elim(args: &ElimArgs, places: &Places) -> Result<(), Failure> {
    let mut known = Vec::new();
    loop {
        let site = site(places, false);
        if let Err(failure) = &site {
            eprintln!("usherd: {}", failure.message());
        }
        print::text(&elim_line(site.as_ref().ok(), &mut known))?;
        io::stdout().flush().map_err(|_| Failure::nobody_reads())?;
        if args.once {
            return site.map(drop);
        }
        thread::sleep(args.interval.to_std());
    }
}

fn run(command: &SlurmCommand) -> Result<(), Failure> {
    let [program, arguments @ ..] = command.0.as_slice() else {
        return Ok(());
    };
    let status = Command::new(program).args(arguments).status();
    let line = command.line();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(format!(
            "`{line}` ended with {status}; make the resources once: `usherd slurm-sync --setup`"
        ))),
        Err(error) => Err(Failure::new(format!(
            "cannot run {program}: {error}; run this where Slurm's commands are, or take `usherd slurm-sync --print`"
        ))),
    }
}
