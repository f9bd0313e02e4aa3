//! What a program can say of itself on paper: manual pages and shell completions, made of its own command
//! line, so that they cannot say anything else than it does. Must not decide any of its words.

mod reference;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::{Command, Subcommand};
use clap_complete::Shell;
use clap_mangen::Man;

/// The verbs that every program has for this; to be flattened into its own.
#[derive(Debug, Subcommand)]
pub enum Pages {
    /// Print what makes a shell complete this program's words
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual pages into a directory, one for each verb; packages are made of them
    #[command(hide = true)]
    Manual {
        /// Where to; made if it is not there
        directory: PathBuf,
    },
    /// Print the whole command line as one Markdown page; the book has it
    #[command(hide = true)]
    Reference,
}

/// The part of the manual that a program belongs to, as in `man 8 usherd`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Commands for everybody.
    User = 1,
    /// Daemons and the commands of administrators.
    Administrator = 8,
}

impl Pages {
    /// Makes the pages of `program`, its command line.
    ///
    /// # Errors
    /// What standard output or the directory says.
    pub fn make(&self, program: Command, section: Section) -> io::Result<()> {
        match self {
            Self::Completions { shell } => completions(program, *shell, &mut io::stdout()),
            Self::Manual { directory } => manual(program, section, directory),
            Self::Reference => {
                let page = reference::page(program);
                io::stdout().write_all(page.as_bytes())
            }
        }
    }
}

fn completions(mut program: Command, shell: Shell, to: &mut dyn Write) -> io::Result<()> {
    let name = program.get_name().to_owned();
    // Written at once: the generator panics where a write fails, as into a closed pipe.
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut program, name, &mut text);
    to.write_all(&text)
}

fn manual(program: Command, section: Section, directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let name = program.get_name().to_owned();
    let mut program = program.disable_help_subcommand(true);
    program.build();
    pages_of(&program, &name, section, directory)
}

/// `name` is the file's and the page's: `usherd-license-add`.
fn pages_of(command: &Command, name: &str, section: Section, directory: &Path) -> io::Result<()> {
    let number = (section as u8).to_string();
    let mut page = fs::File::create(directory.join(format!("{name}.{number}")))?;
    Man::new(command.clone())
        .title(name.to_uppercase())
        .section(number)
        .render(&mut page)?;
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    for verb in verbs {
        pages_of(
            verb,
            &format!("{name}-{}", verb.get_name()),
            section,
            directory,
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program() -> Command {
        let add = Command::new("add").about("Installs a license");
        let license = Command::new("license")
            .about("Licenses")
            .subcommand_required(true)
            .subcommand(add);
        let ours = Pages::augment_subcommands(Command::new("usherd").version("1.2.3"));
        ours.subcommand(license)
    }

    #[test]
    fn each_verb_that_is_shown_has_a_page() {
        let directory = tempfile::tempdir().unwrap();
        let manual = Pages::Manual {
            directory: directory.path().join("man"),
        };
        manual.make(program(), Section::Administrator).unwrap();
        let mut names: Vec<String> = fs::read_dir(directory.path().join("man"))
            .unwrap()
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let wanted = [
            "usherd-completions.8",
            "usherd-license-add.8",
            "usherd-license.8",
            "usherd.8",
        ];
        assert_eq!(names, wanted);
        let page = fs::read_to_string(directory.path().join("man/usherd-license-add.8")).unwrap();
        assert!(page.contains("USHERD-LICENSE-ADD 8"), "{page}");
        assert!(page.contains("Installs a license"), "{page}");
    }

    #[test]
    fn completions_know_the_verbs() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut text = Vec::new();
            completions(program(), shell, &mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            assert!(text.contains("license") && text.contains("add"), "{shell}");
        }
    }
}
