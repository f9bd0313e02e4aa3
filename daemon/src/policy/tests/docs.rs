//! The reference must be true: what `docs/policy.md` shows is read, and every word stands there.

use super::*;

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

fn blocks(page: &str) -> impl Iterator<Item = &str> {
    let blocks = page.split("```toml\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap())
}

#[test]
fn every_example_of_the_reference_is_a_good_policy() {
    let page = page("policy.md");
    let mut read = 0;
    for block in blocks(&page) {
        assert!(
            !good(block).is_empty() || block.contains("[groups."),
            "{block}"
        );
        read += 1;
    }
    assert!(read >= 10, "only {read} examples found");
}

#[test]
fn every_word_stands_in_the_reference() {
    let page = page("policy.md");
    let words = "users hosts keys networks groups feature who reason per seats level length after longest at-home backfill";
    for word in WORDS.iter().copied().chain(words.split(' ')) {
        let quoted = [format!("`{word}`"), format!("`[[{word}]]`")];
        assert!(
            quoted.iter().any(|it| page.contains(it)),
            "`{word}` is not in docs/policy.md"
        );
    }
}
