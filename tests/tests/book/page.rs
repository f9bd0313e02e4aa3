//! A page of the book as a newcomer reads it: which files it has written, which commands it has typed, where, and what
//! it says comes back. Decides nothing about whether that is so.
//!
//! - A block ` ```console ` holds commands behind a prompt, `#` for the administrator on the server, `$` for anybody
//!   elsewhere, each followed by what it prints. `…` stands for anything; a line of `…` alone for any lines.
//! - `<!-- not run: REASON -->` before a block keeps its commands from being run, and is counted.
//! - `<!-- file: PATH -->` before a block of another kind writes it there; a path from the root is the server's.
//! - `<!-- on HOST -->` before a block has its `$` typed on that host.
//! - `<!-- stage: WORD -->` says what is there when the page begins (`site.rs`).
//! - `<!-- meanwhile` … `-->` has commands of its own between it and its end, which readers need not see.

/// What a page does, in order.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) stage: Option<String>,
    pub(crate) deeds: Vec<Deed>,
    /// Commands behind a prompt that stand in blocks of another kind, where nobody would run them.
    pub(crate) strays: Vec<usize>,
}

/// One thing that a reader does, and the line that says so.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Write {
        line: usize,
        path: String,
        text: String,
    },
    Type(Step),
    Skip {
        line: usize,
        command: String,
        reason: String,
    },
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) line: usize,
    pub(crate) is_root: bool,
    /// Where its `$` is, unless it is the usual place.
    pub(crate) host: Option<String>,
    pub(crate) command: String,
    /// What it prints; nothing said is nothing checked.
    pub(crate) printed: Vec<String>,
}

/// Reads a page.
pub(crate) fn read(text: &str) -> Page {
    let mut page = Page::default();
    let mut note: Option<String> = None;
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let at = index + 2;
        if let Some(info) = line.trim_start().strip_prefix("```") {
            let indent = line.len() - line.trim_start().len();
            let block: Vec<String> = lines
                .by_ref()
                .map(|(_, it)| it.get(indent..).unwrap_or_default().to_owned())
                .take_while(|it| it != "```")
                .collect();
            page.block(at, info, &block, note.take().as_deref());
        } else if line == "<!-- meanwhile" {
            let block = lines.by_ref().map(|(_, it)| it.to_owned());
            let block: Vec<_> = block.take_while(|it| it != "-->").collect();
            page.block(at, "console", &block, None);
        } else if let Some(inner) = comment(line) {
            match inner.strip_prefix("stage: ") {
                Some(stage) => page.stage = Some(stage.to_owned()),
                None => note = Some(inner.to_owned()),
            }
        } else if !line.trim().is_empty() {
            note = None;
        }
    }
    page
}

impl Page {
    fn block(&mut self, at: usize, info: &str, block: &[String], note: Option<&str>) {
        let say = |word: &str| note.and_then(|it| it.strip_prefix(word)).map(str::to_owned);
        if let Some(path) = say("file: ") {
            let (line, text) = (at, block.join("\n") + "\n");
            self.deeds.push(Deed::Write { line, path, text });
        } else if info == "console" {
            let (not_run, host) = (say("not run: "), say("on "));
            for step in steps(at, block, host.as_deref()) {
                self.deeds.push(match &not_run {
                    None => Deed::Type(step),
                    Some(reason) => Deed::Skip {
                        line: step.line,
                        command: step.command,
                        reason: reason.clone(),
                    },
                });
            }
        } else if info.is_empty() || info == "sh" || info == "text" {
            let prompts = block.iter().enumerate();
            let is_typed = |line: &str| {
                ["$ ", "# usher", "# systemctl"]
                    .iter()
                    .any(|it| line.starts_with(it))
            };
            let prompts = prompts.filter(|(_, line)| is_typed(line));
            self.strays.extend(prompts.map(|(index, _)| at + index));
        }
    }
}

fn comment(line: &str) -> Option<&str> {
    line.trim().strip_prefix("<!-- ")?.strip_suffix(" -->")
}

fn steps(at: usize, block: &[String], host: Option<&str>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (index, line) in block.iter().enumerate() {
        let typed = line.strip_prefix("# ").map(|it| (true, it));
        let typed = typed.or_else(|| line.strip_prefix("$ ").map(|it| (false, it)));
        match (typed, steps.last_mut()) {
            (_, Some(last)) if last.printed.is_empty() && last.command.ends_with('\\') => {
                last.command.push('\n');
                last.command.push_str(line);
            }
            (Some((is_root, command)), _) => steps.push(Step {
                line: at + index,
                is_root,
                host: host.map(str::to_owned),
                command: command.to_owned(),
                printed: Vec::new(),
            }),
            (None, Some(last)) => last.printed.push(line.clone()),
            (None, None) => {}
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "<!-- stage: lending -->\n# Title\n\n<!-- file: job.inp -->\n\n```text\n4 nodes\n```\n\n```console\n$ solver job.inp \\\n    --fast\nsolved\n# usherd status\n```\n\n<!-- not run: because so -->\n```console\n# reboot\n```\n\n```\n$ stray\n```\n\n<!-- meanwhile\n$ hidden\n-->\n<!-- on lic01 -->\n```console\n$ there\n```\n";

    #[test]
    fn what_a_page_does_is_read_in_order() {
        let page = read(PAGE);
        assert_eq!(page.stage.as_deref(), Some("lending"));
        assert_eq!(page.strays, [23]);
        let file = Deed::Write {
            line: 7,
            path: "job.inp".to_owned(),
            text: "4 nodes\n".to_owned(),
        };
        let skipped = Deed::Skip {
            line: 19,
            command: "reboot".to_owned(),
            reason: "because so".to_owned(),
        };
        let typed = |line, is_root, command: &str, printed: &[&str], host: Option<&str>| {
            Deed::Type(Step {
                line,
                is_root,
                host: host.map(str::to_owned),
                command: command.to_owned(),
                printed: printed.iter().map(|it| (*it).to_owned()).collect(),
            })
        };
        let solver = "solver job.inp \\\n    --fast";
        let wanted = [
            file,
            typed(11, false, solver, &["solved"], None),
            typed(14, true, "usherd status", &[], None),
            skipped,
            typed(27, false, "hidden", &[], None),
            typed(31, false, "there", &[], Some("lic01")),
        ];
        assert_eq!(page.deeds, wanted);
    }
}
