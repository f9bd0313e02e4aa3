//! Who sits at the other end of the socket, by the kernel's word: names the actor in the usage log.
//!
//! Names come from `/etc/passwd` alone; users of a directory service are named by their number.

use std::fs;

use tokio::net::UnixStream;

/// `user(uid)`, or `uid(uid)` without a name, or `unknown` where the kernel does not say.
pub(super) fn actor(stream: &UnixStream) -> String {
    match stream.peer_cred() {
        Ok(peer) => actor_of(peer.uid(), &database("/etc/passwd")),
        Err(_) => "unknown".to_owned(),
    }
}

/// The number of the group `name`, if this machine has it.
pub(super) fn group(name: &str) -> Option<u32> {
    group_in(name, &database("/etc/group"))
}

fn actor_of(uid: u32, passwd: &str) -> String {
    let number = uid.to_string();
    let name = passwd
        .lines()
        .map(|line| line.split(':'))
        .find_map(|mut fields| {
            let name = fields.next()?;
            (fields.nth(1)? == number).then_some(name)
        });
    format!("{}({uid})", name.unwrap_or("uid"))
}

fn group_in(name: &str, database: &str) -> Option<u32> {
    database.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name)
            .then(|| fields.nth(1)?.parse().ok())
            .flatten()
    })
}

fn database(path: &str) -> String {
    fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nanna:x:1000:1000::/home/anna:/bin/sh\n";

    #[test]
    fn an_actor_is_named_by_name_and_number() {
        assert_eq!(actor_of(0, PASSWD), "root(0)");
        assert_eq!(actor_of(1000, PASSWD), "anna(1000)");
        assert_eq!(actor_of(7, PASSWD), "uid(7)");
    }

    #[test]
    fn a_group_is_found_by_its_whole_name() {
        let groups = "usherd2:x:7:\nusherd:x:990:anna\n";
        assert_eq!(group_in("usherd", groups), Some(990));
        assert_eq!(group_in("usher", groups), None);
    }
}
