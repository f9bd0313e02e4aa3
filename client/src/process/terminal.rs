//! Decides which process group has the terminal's foreground, and thereby Ctrl-C and Ctrl-Z.
//! Must not take it from anybody but ourselves and our child.

use super::leash;
use rustix::process::{Pid, getpgrp};
use rustix::termios::{tcgetpgrp, tcsetpgrp};
use std::io::IsTerminal;
use std::path::Path;
use std::process::Stdio;

/// Gives the child the foreground, if it is ours to give: when this process stands alone between
/// keyboard and screen. In a pipeline the others need it, and Ctrl-C reaches the child through us.
pub(super) fn give_to(child: Pid) {
    let (stdin, stdout) = (std::io::stdin(), std::io::stdout());
    let ours = tcgetpgrp(&stdin).is_ok_and(|foreground| foreground == getpgrp());
    if stdout.is_terminal() && ours {
        // If it fails, the child is a background job and reads nothing: no worse than before.
        let _ = tcsetpgrp(&stdin, child);
    }
}

/// Whether the child has the foreground.
pub(super) fn is_with(child: Pid) -> bool {
    tcgetpgrp(std::io::stdin()).is_ok_and(|foreground| foreground == child)
}

/// Takes the foreground back from the child's group, which must still exist. Only a member of that
/// group may say so without being stopped (SIGTTOU), so a short-lived one does.
pub(super) fn take_back_from(child: Pid, leash: &Path) {
    if is_with(child) {
        let mut helper = leash::terminal(leash, getpgrp(), child);
        let _ = helper.stdin(Stdio::inherit()).status();
    }
}

/// What that member does.
pub(super) fn hand_to(group: Pid) -> std::io::Result<()> {
    Ok(tcsetpgrp(std::io::stdin(), group)?)
}
