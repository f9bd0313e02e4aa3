//! `docs/formats.md` says what the code does.

use usher_protocol::{envelope::DocumentType, limits, refusal::RefusalCode};

const FORMATS: &str = include_str!("../../../docs/formats.md");

#[test]
fn every_refusal_is_in_the_table_and_no_other() {
    let expected: Vec<String> = RefusalCode::ALL
        .iter()
        .map(|code| {
            format!(
                "| {} | `{}` | {} |",
                u16::from(*code),
                code.name(),
                code.meaning()
            )
        })
        .collect();
    let found: Vec<&str> = section("## Refusals")
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains('`'))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn every_document_type_is_named() {
    for kind in [
        DocumentType::CERTIFICATE,
        DocumentType::LICENSE,
        DocumentType::ENDORSEMENT,
        DocumentType::LEASE,
        DocumentType::REVOCATION,
        DocumentType::SITE_REQUEST,
        DocumentType::ISSUER_LOG,
    ] {
        let cell = format!("| `{}` |", kind.as_str());
        assert!(section("## Signatures").contains(&cell), "{cell}");
    }
}

#[test]
fn the_sample_license_is_the_golden_one() {
    let golden = include_str!("snapshots/formats__golden__license_file.snap");
    let sample = section("## Pool license")
        .split_once("```toml\n")
        .and_then(|(_, rest)| rest.split_once("\n[signature]"))
        .map(|(sample, _)| sample)
        .unwrap();
    for line in sample.lines().filter(|line| !line.contains('…')) {
        assert!(golden.lines().any(|it| it == line), "{line:?}");
    }
}

#[test]
fn the_bounds_are_the_ones_of_the_code() {
    for (text, bound) in [
        ("frame", limits::FRAME_BYTES_MAX),
        (
            "endorsement with its certificate",
            limits::ENDORSEMENT_BYTES_MAX,
        ),
        ("license file", limits::LICENSE_BYTES_MAX),
        ("features in one license", limits::FEATURES_PER_LICENSE_MAX),
        ("entries in one revocation list", limits::REVOCATIONS_MAX),
        ("vendor or feature name", limits::NAME_BYTES_MAX),
        ("license or customer id", limits::ID_BYTES_MAX),
        ("user, host or display name", limits::HOLDER_BYTES_MAX),
        ("customer, support message", limits::TEXT_BYTES_MAX),
        (
            "seats in one checkout",
            limits::SEATS_PER_CHECKOUT_MAX as usize,
        ),
        (
            "features in one checkout of several",
            limits::FEATURES_PER_CHECKOUT_MAX,
        ),
    ] {
        let row = format!("| {text} | {bound} |");
        assert!(section("## Bounds").contains(&row), "{row}");
    }
}

/// The page from a heading to the next of the same rank.
fn section(heading: &str) -> &'static str {
    let start = FORMATS.find(&format!("\n{heading}\n")).unwrap() + 1;
    let rest = &FORMATS[start..];
    rest[3..].find("\n## ").map_or(rest, |end| &rest[..end + 3])
}
