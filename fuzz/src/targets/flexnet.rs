//! `flexnet`: a `FlexNet` options file on its way to a policy.

use usherd::policy::flexnet::convert;

/// Converts the text: what comes out is always a policy.
pub fn run(data: &[u8]) {
    let Some(text) = super::text(data) else {
        return;
    };
    let vendor = "acme".parse().unwrap();
    if let Err(error) = convert(text, &vendor) {
        panic!("what was written is no policy: {error}");
    }
}
