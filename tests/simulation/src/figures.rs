//! What happened in worlds, counted so that the counts of many can be added up.

macro_rules! figures {
    ($($(#[$doc:meta])* $name:ident => $words:literal,)*) => {
        /// Counts of what happened.
        #[derive(Debug, Default, Clone, PartialEq, Eq)]
        pub struct Figures {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Figures {
            /// Adds another world's.
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            /// Each with the words for it.
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$(($words, self.$name),)*]
            }
        }
    };
}

figures! {
    /// Whole worlds.
    worlds => "worlds",
    /// Simulated time, in whole hours.
    hours => "simulated hours",
    /// Things that happened.
    events => "events",
    /// Checkouts that people began.
    checkouts => "checkouts",
    /// Grants that reached their client.
    grants => "acknowledged grants",
    /// Grants and extensions that a client took in.
    extensions => "acknowledged promises",
    /// Seats that were given back, and that was heard.
    releases => "releases",
    /// Seats or places given back unheard.
    given_up => "releases nobody heard",
    /// Sets of features that were granted, and that reached their client.
    sets => "sets granted",
    /// Sets of which nothing was granted.
    sets_refused => "sets refused whole",
    /// Seats taken home, as their borrower heard.
    borrows => "borrows granted",
    /// Of those, brought back before their end, as the daemon heard.
    borrows_returned => "borrows returned early",
    /// Of those, where a lease on line goes on in the share, and more seats are out than the license has (L7).
    returned_short => "borrows returned in shares that go on while too many seats are out",
    /// Licenses replaced by ones with fewer seats than are out.
    shrunk => "licenses that shrank below what is out",
    /// Of those, where fewer seats were left than are at home.
    shrunk_below_home => "of them below what is at home",
    /// Seats at home that were written off, as an administrator heard.
    write_offs => "borrows written off",
    /// Promises of the second license of a feature.
    of_second_license => "promises of a second license",
    /// Licenses that ended while somebody held a seat of them.
    licenses_ended => "licenses that ended with leases out",
    /// Refusals that reached a client.
    refusals => "refusals",
    /// Daemon lives.
    lives => "daemon lives",
    /// Ends of a daemon with its page cache kept.
    crashes => "crashes",
    /// Ends of a daemon with unsynced writes lost.
    power_cuts => "power cuts",
    /// Copies put back.
    restores => "restores",
    /// Client processes that died.
    client_crashes => "client crashes",
    /// Messages sent.
    messages => "messages",
    /// Messages that did not arrive.
    lost => "messages lost",
    /// Messages that arrived twice.
    doubled => "messages doubled",
    /// Connections opened.
    connections => "connections",
    /// Connections cut.
    cuts => "connections cut",
    /// Workstations cut off for a while.
    blocks => "workstations cut off",
    /// Machines that slept.
    suspends => "suspends",
    /// Machines that were paused.
    pauses => "pauses",
    /// Wall clocks that were set.
    wall_jumps => "wall clock jumps",
    /// What administrators asked.
    admin_asks => "administrators' acts",
    /// Old copies of the server's machine that were started in its place.
    mixups => "old machines started by mistake",
    /// Of those, where two licenses were installed.
    mixups_of_two => "of them beside two licenses",
    /// Servers not believed because their epoch went back.
    epochs_refused => "epochs refused",
    /// Times that believers were counted.
    judged => "times believers were counted",
    /// Invariants that did not hold.
    violations => "violations",
}
