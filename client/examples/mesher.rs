//! The smallest program that needs a seat. The vendor's tutorial (docs/tutorials/vendor.md) shows it, and its test runs it.

use usher_client::{Error, blocking::Client};

fn main() -> Result<(), Error> {
    let vendor_key = std::fs::read("acme.pub").unwrap_or_default();
    let client = Client::connect(vendor_key)?;
    let seat = client.checkout("mesher").send()?;
    seat.on_change(|change| eprintln!("mesher: the seat is {change}"));

    println!("meshing");
    if !seat.state().holds() {
        println!("the seat is lost: saving, and stopping");
    }
    seat.release()
}
