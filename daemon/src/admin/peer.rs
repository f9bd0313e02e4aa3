//! Who sits at the other end of the socket, by the kernel's word: names the actor in the usage log.

use tokio::net::UnixStream;
use usher_client::process::accounts;

/// `user(uid)`, or `uid(uid)` without a name, or `unknown` where the kernel does not say.
pub(super) fn actor(stream: &UnixStream) -> String {
    match stream.peer_cred() {
        Ok(peer) => actor_of(peer.uid(), accounts::user_name(peer.uid()).as_deref()),
        Err(_) => "unknown".to_owned(),
    }
}

fn actor_of(uid: u32, name: Option<&str>) -> String {
    format!("{}({uid})", name.unwrap_or("uid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_is_named_by_name_and_number() {
        assert_eq!(actor_of(0, Some("root")), "root(0)");
        assert_eq!(actor_of(7, None), "uid(7)");
    }
}
