//! Decides whether anybody of a process group is still alive. Must not signal anybody.

use rustix::process::Pid;

/// Whether no process of `group` runs; ended ones that nobody has reaped do not count. Where
/// `/proc` cannot be read the group counts as alive.
pub(super) fn is_empty(group: Pid) -> bool {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return false;
    };
    !processes.flatten().any(|entry| {
        let number = entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.parse::<u32>().is_ok());
        number
            && std::fs::read_to_string(entry.path().join("stat"))
                .is_ok_and(|stat| lives_in(&stat, group))
    })
}

/// Reads proc_pid_stat(5): `pid (name) state ppid pgrp …`, where the name may hold anything.
fn lives_in(stat: &str, group: Pid) -> bool {
    let Some((_, rest)) = stat.rsplit_once(") ") else {
        return false;
    };
    let mut fields = rest.split(' ');
    let state = fields.next();
    let its_group = fields.nth(1).and_then(|field| field.parse().ok());
    its_group == Some(group.as_raw_nonzero().get()) && !matches!(state, Some("Z" | "X"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_deceive_and_the_dead_do_not_count() {
        let group = Pid::from_raw(42).unwrap();
        assert!(lives_in("7 (a) S 1 42 42 0", group));
        assert!(lives_in("7 (x) Z 1 99) S 1 42 42 0", group));
        assert!(!lives_in("7 (a) Z 1 42 42 0", group));
        assert!(!lives_in("42 (a) S 42 7 42 0", group));
        assert!(!lives_in("", group));
    }

    #[test]
    fn our_own_group_is_not_empty() {
        assert!(!is_empty(rustix::process::getpgrp()));
        assert!(is_empty(Pid::from_raw(i32::MAX).unwrap()));
    }
}
