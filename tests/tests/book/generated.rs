//! Pages and parts of pages that are made of the code. Where one differs, `USHER_TEST_WRITE=1 cargo test -p usher-tests
//! --test book generated` writes it anew.

use std::fs;

use usher_protocol::refusal::RefusalCode;
use usher_tests::{bins, catalog::root, station::told};

#[test]
fn the_command_pages_say_what_the_programs_say() {
    for program in ["usherd", "usher", "usher-issuer"] {
        let page = told(
            &bins::command(program).arg("reference").output().unwrap(),
            program,
        );
        assert!(page.contains("\n## "), "{page}");
        is_written(&format!("docs/commands/{program}.md"), &page);
    }
}

#[test]
fn the_refusals_are_those_of_the_protocol() {
    let rows = RefusalCode::ALL.iter().map(|code| {
        format!(
            "| {} | `{}` | {} |\n",
            u16::from(*code),
            code.name(),
            code.meaning()
        )
    });
    let table: String = rows.collect();
    let table = format!("| number | refusal | meaning |\n|---|---|---|\n{table}");
    part_is_written("docs/refusals.md", "refusals", &table);
}

fn is_written(path: &str, wanted: &str) {
    let file = root().join(path);
    let found = fs::read_to_string(&file).unwrap_or_default();
    if found == wanted {
        return;
    }
    if std::env::var_os("USHER_TEST_WRITE").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, wanted).unwrap();
        return;
    }
    let pairs = found.lines().zip(wanted.lines()).enumerate();
    let first = pairs.clone().find(|(_, (is, should))| is != should);
    panic!(
        "{path} is not what the code says, first at {first:?}; write it anew: USHER_TEST_WRITE=1 cargo test -p usher-tests --test book generated"
    );
}

/// Between `<!-- made: NAME -->` and `<!-- end of NAME -->`.
fn part_is_written(path: &str, name: &str, wanted: &str) {
    let (begin, end) = (
        format!("<!-- made: {name} -->\n"),
        format!("<!-- end of {name} -->"),
    );
    let text = fs::read_to_string(root().join(path)).unwrap();
    let (before, rest) = text.split_once(&begin).expect("its begin");
    let (_, after) = rest.split_once(&end).expect("its end");
    is_written(path, &format!("{before}{begin}\n{wanted}\n{end}{after}"));
}
