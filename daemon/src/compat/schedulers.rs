//! What batch schedulers are told: Slurm's remote licenses and LSF's external load indices.

use super::{Feature, Site, UNLIMITED};

/// What changes a remote license of Slurm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlurmCommand(pub Vec<String>);

impl SlurmCommand {
    /// As a line of a shell script; no word of it needs quotes.
    pub fn line(&self) -> String {
        self.0.join(" ")
    }
}

/// Makes the resource, with the seats that there are (once, by an administrator of Slurm).
pub fn slurm_add(feature: &Feature, server: &str) -> SlurmCommand {
    let seats = feature.seats.unwrap_or(UNLIMITED);
    command(&[
        "add",
        "resource",
        &format!("name={}", feature.name),
        "type=license",
        &format!("server={server}"),
        "servertype=usher",
        &format!("count={seats}"),
        "allowed=100",
    ])
}

/// Tells Slurm how many seats are out, whoever has them (Slurm 23.02 and later).
pub fn slurm_update(feature: &Feature) -> SlurmCommand {
    command(&[
        "update",
        "resource",
        &feature.name,
        "set",
        &format!("lastconsumed={}", feature.used),
    ])
}

/// One line of an elim: how many indices, then name and free seats of each. A feature that was there before and is
/// gone has none.
pub fn elim_line(site: Option<&Site>, known: &mut Vec<String>) -> String {
    let features = site.map_or(&[][..], |site| &site.features);
    for feature in features {
        let name = elim_name(feature);
        if !known.contains(&name) {
            known.push(name);
        }
    }
    let pairs = known.iter().map(|name| {
        let feature = features.iter().find(|it| elim_name(it) == *name);
        let free = feature.map_or(0, Feature::free);
        format!(" {name} {free}")
    });
    let pairs: String = pairs.collect();
    format!("{}{pairs}\n", known.len())
}

/// LSF allows letters, digits and underscores, and no digit in front.
fn elim_name(feature: &Feature) -> String {
    format!("usher_{}", feature.name.replace('-', "_"))
}

fn command(words: &[&str]) -> SlurmCommand {
    let all = ["sacctmgr", "-i"].iter().chain(words);
    SlurmCommand(all.map(|it| (*it).to_owned()).collect())
}
