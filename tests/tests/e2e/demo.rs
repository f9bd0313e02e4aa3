//! Does the demonstration, a newcomer's first command, lend a seat by itself?

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use usher_tests::station::Station;

#[test]
fn the_demonstration_lends_a_seat_and_prints_the_line_to_paste() {
    let station = Station::here();
    let mut command = station.command("usherd");
    command.arg("demo").env("TMPDIR", station.home());
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut demo = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    for line in BufReader::new(demo.stdout.take().unwrap()).lines() {
        said += &line.unwrap();
        said.push('\n');
        if said.contains("USHER_SERVER") {
            break;
        }
    }
    let pid = Pid::from_raw(i32::try_from(demo.id()).unwrap()).unwrap();
    let _ = kill_process(pid, Signal::TERM);
    let rest = demo.wait_with_output().unwrap();
    let complained = String::from_utf8_lossy(&rest.stderr);
    assert!(said.contains("USHER_SERVER"), "{said}{complained}");
}
