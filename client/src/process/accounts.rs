//! Decides which name goes with a user's or group's number: `/etc/passwd` and `/etc/group` alone, so
//! that no directory service is waited for. Who has no name there goes by number.

use std::fs;

/// The login name of a user.
#[must_use]
pub fn user_name(uid: u32) -> Option<String> {
    user_in(uid, &database("/etc/passwd"))
}

/// The number of the group `name`, if this machine has it.
#[must_use]
pub fn group_id(name: &str) -> Option<u32> {
    group_in(name, &database("/etc/group"))
}

fn user_in(uid: u32, passwd: &str) -> Option<String> {
    let number = uid.to_string();
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then(|| name.to_owned())
    })
}

fn group_in(name: &str, groups: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
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
    fn a_user_is_found_by_number() {
        assert_eq!(user_in(0, PASSWD).as_deref(), Some("root"));
        assert_eq!(user_in(1000, PASSWD).as_deref(), Some("anna"));
        assert_eq!(user_in(100, PASSWD), None);
    }

    #[test]
    fn a_group_is_found_by_its_whole_name() {
        let groups = "usherd2:x:7:\nusherd:x:990:anna\n";
        assert_eq!(group_in("usherd", groups), Some(990));
        assert_eq!(group_in("usher", groups), None);
    }
}
