//! Walks through a page as a newcomer would: writes its files and types its commands, in order, and compares. A command
//! must succeed, unless the next one asks for its exit code.

use usher_tests::{catalog::root, hosts::Lan};

use crate::{
    page::{self, Deed, Step},
    printed::is_as_said,
    site::{SERVER, Site, WORKSTATION},
};

/// Panics with all that went otherwise than the page says.
pub(crate) fn walk(lan: &mut Lan, path: &str) {
    let text = std::fs::read_to_string(root().join(path)).unwrap();
    let page = page::read(&text);
    let mut site = Site::new(lan, page.stage.as_deref());
    let mut problems = Vec::new();
    for (index, deed) in page.deeds.iter().enumerate() {
        match deed {
            Deed::Write { path, text, .. } => site.write(path, text),
            Deed::Type(step) => {
                let may_fail = asks_for_the_code(page.deeds.get(index + 1));
                problems.extend(follow(&mut site, path, step, may_fail));
            }
            Deed::Skip { .. } => {}
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

fn asks_for_the_code(next: Option<&Deed>) -> bool {
    matches!(next, Some(Deed::Type(step)) if step.command == "echo $?")
}

fn follow(site: &mut Site, path: &str, step: &Step, may_fail: bool) -> Option<String> {
    let elsewhere = step.host.as_deref().unwrap_or(WORKSTATION);
    let host = if step.is_root { SERVER } else { elsewhere };
    let says_yes = step.printed.iter().any(|it| it.ends_with("[y/N] y"));
    let command = step
        .command
        .replace(A_DAY_TO_COME, "$(date -d '1 year' +%Y)-12-31");
    let (code, said) = site.shell(host).run(&command, says_yes);
    let prompt = if step.is_root { '#' } else { '$' };
    let at = format!("{path}:{}: {prompt} {}", step.line, step.command);
    println!("{at}\n{said}");
    if code != 0 && !may_fail {
        return Some(format!("{at}\n  ended with {code}:\n{said}"));
    }
    if !step.printed.is_empty() && !is_as_said(&step.printed, &said) {
        let wanted = step.printed.join("\n");
        return Some(format!(
            "{at}\n--- the page says\n{wanted}\n--- it prints\n{said}"
        ));
    }
    None
}

/// What the pages call a day to come, so that it is one in later years, too.
const A_DAY_TO_COME: &str = "2027-12-31";
