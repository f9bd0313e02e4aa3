//! Configuration errors as people see them, and which source wins.

use super::*;

mod docs;

fn wrong(text: &str) -> String {
    ConfigFile::parse(Path::new("usherd.toml"), text)
        .unwrap_err()
        .to_string()
}

#[test]
fn a_typing_error_gets_line_caret_and_the_expected_names() {
    insta::assert_snapshot!(wrong("# Usher\nlisen = [\"[::]:27443\"]\n"));
}

#[test]
fn a_wrong_value_is_pointed_at() {
    insta::assert_snapshot!(wrong("name = \"lic01\"\nlisten = [\"[::]\"]\n"));
    insta::assert_snapshot!(wrong("leases-max = 0\n"));
    insta::assert_snapshot!(wrong("serve-test = \"yes\"\n"));
    insta::assert_snapshot!(wrong("listen = []\n"));
    insta::assert_snapshot!(wrong("listen = [\"0.0.0.0:1\", \"0.0.0.0:1\"]\n"));
    insta::assert_snapshot!(wrong("name = \"a\\u0007b\"\n"));
}

#[test]
fn a_truncated_file_is_an_error_with_a_place() {
    insta::assert_snapshot!(wrong("listen = [\"[::]:27443\"\n"));
}

#[test]
fn an_absent_file_is_an_error_only_when_it_was_named() {
    let named = Overrides {
        places: Places {
            config: Some("/nonexistent/usherd.toml".into()),
            ..Places::default()
        },
        ..Overrides::default()
    };
    assert!(Config::load(&named).unwrap_err().is_absent());
}

#[test]
fn a_flag_beats_the_file_and_the_file_beats_the_default() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usherd.toml");
    std::fs::write(
        &path,
        "name = \"file\"\nserve-test = true\nleases-max = 7\n",
    )
    .unwrap();
    let over = Overrides {
        places: Places {
            config: Some(path),
            ..Places::default()
        },
        name: Some("flag".parse().unwrap()),
        ..Overrides::default()
    };
    let config = Config::load(&over).unwrap();
    assert_eq!(config.name.as_str(), "flag");
    assert!(config.serve_test);
    assert_eq!(config.leases_max, 7);
    assert_eq!(config.state_dir, Path::new(STATE_DIR));
    assert!(config.listen_is_default);
}

#[test]
fn the_policy_is_beside_the_configuration_unless_somebody_chose_it() {
    let policy = |config: Option<&str>, word: Option<&str>, state_dir: Option<&str>| {
        let file = ConfigFile {
            policy: word.map(PathBuf::from),
            ..ConfigFile::default()
        };
        let over = Overrides::of_places(&Places {
            state_dir: state_dir.map(PathBuf::from),
            ..Places::default()
        });
        let config = Config::merged(config.map(PathBuf::from), file, &over);
        (
            config.policy.display().to_string(),
            config.policy_choice == Choice::Chosen,
        )
    };
    let told = |path: &str, chosen| (path.to_owned(), chosen);
    assert_eq!(
        policy(None, None, None),
        told("/etc/usher/policy.toml", false)
    );
    assert_eq!(
        policy(Some("/o/usherd.toml"), None, Some("/s")),
        told("/o/policy.toml", false)
    );
    assert_eq!(
        policy(None, None, Some("/s")),
        told("/s/policy.toml", false)
    );
    assert_eq!(
        policy(Some("/o/usherd.toml"), Some("p.toml"), None),
        told("/o/p.toml", true)
    );
    assert_eq!(
        policy(Some("/o/usherd.toml"), Some("/x/p.toml"), None),
        told("/x/p.toml", true)
    );
}

#[test]
fn a_policy_that_somebody_chose_must_be_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::merged(None, ConfigFile::default(), &Overrides::default());
    config.policy = dir.path().join("policy.toml");
    assert!(config.load_policy().unwrap().is_empty());
    config.policy_choice = Choice::Chosen;
    assert!(config.load_policy().unwrap_err().is_absent());
}

#[test]
fn a_huge_or_binary_file_is_refused_before_it_is_parsed() {
    let dir = tempfile::tempdir().unwrap();
    let huge = dir.path().join("huge.toml");
    std::fs::write(&huge, vec![b'#'; 65 * 1024]).unwrap();
    assert!(matches!(
        ConfigFile::read(&huge),
        Err(ConfigError::TooLong { .. })
    ));
    let binary = dir.path().join("binary.toml");
    std::fs::write(&binary, [b'#', 0xff, 0xfe]).unwrap();
    assert!(matches!(
        ConfigFile::read(&binary),
        Err(ConfigError::NotText { at: 1, .. })
    ));
}

#[test]
fn what_needs_a_restart_is_named() {
    let old = Config::merged(None, ConfigFile::default(), &Overrides::default());
    let mut new = old.clone();
    new.serve_test = true;
    assert!(old.restart_needed_by(&new).is_empty());
    new.name = "other".parse().unwrap();
    new.listen.clear();
    assert_eq!(old.restart_needed_by(&new), ["listen", "name"]);
}

#[test]
fn unknown_variables_of_our_prefix_are_found() {
    let names = ["USHERD_LISTEN", "USHERD_LISEN", "PATH"].map(str::to_owned);
    assert_eq!(unknown_variables(names.into_iter()), ["USHERD_LISEN"]);
}
