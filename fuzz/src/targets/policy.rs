//! `policy`: the administrator's policy file, and an engine under whatever it says.

use std::{path::Path, sync::Arc};

use usher_engine::policy::Policy;
use usherd::policy::parse;

use crate::world::World;

/// Reads the text; a policy that is taken comes into force, and everything is asked once under it.
pub fn run(data: &[u8]) {
    let Some(text) = super::text(data) else {
        return;
    };
    match parse(Path::new("policy.toml"), text) {
        Ok(policy) if policy == Policy::default() => {}
        Ok(policy) => World::new().live_under(Arc::new(policy)),
        Err(error) => super::shown(&error.to_string()),
    }
}
