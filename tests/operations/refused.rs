//! What a start refuses, and that it changes nothing then.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::ANNA;
use crate::support::{Config, Daemon, wait};

/// Starts it and gives the exit code of a start that must fail.
fn exit_code(daemon: &mut Daemon) -> i32 {
    daemon.spawn();
    let status = daemon.wait_exit(wait::LONG).expect("the start must fail");
    status.code().expect("it ends by itself")
}

fn content(directory: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            content(&path, found);
            found.insert(path, Vec::new());
        } else {
            let bytes = fs::read(&path).unwrap();
            found.insert(path, bytes);
        }
    }
}

/// Everything in the data directory.
fn data(daemon: &Daemon) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    content(&daemon.data_path(), &mut found);
    found
}

#[test]
fn a_wrong_root_key_is_refused_at_once_and_nothing_is_written() {
    let mut daemon = Daemon::start();
    daemon.edge().start("before", ANNA);
    assert!(daemon.terminate().success());
    let (before, key) = (data(&daemon), daemon.place().join("root.key"));
    let right = fs::read(&key).unwrap();
    fs::write(&key, "ab".repeat(32)).unwrap();
    assert_eq!(exit_code(&mut daemon), 78);
    assert!(daemon.log().contains("root key"), "{}", daemon.log());
    let after = data(&daemon);
    let changed: Vec<_> = after.iter().filter(|(path, bytes)| before.get(*path) != Some(bytes)).collect();
    assert!(changed.is_empty() && before.len() == after.len(), "changed: {:?}", changed.iter().map(|c| c.0));
    fs::write(&key, right).unwrap();
    daemon.restart();
    assert_eq!(daemon.edge().context("before")["call_id"], "before");
}

#[test]
fn a_root_key_that_others_may_read_is_refused() {
    let mut daemon = Daemon::prepare(Config::default());
    let key = daemon.place().join("root.key");
    for mode in [0o644, 0o640, 0o604] {
        fs::set_permissions(&key, Permissions::from_mode(mode)).unwrap();
        assert_eq!(exit_code(&mut daemon), 78);
    }
    assert!(daemon.log().contains("chmod 600"), "{}", daemon.log());
    assert!(!daemon.data_path().exists(), "the data directory was made");
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    daemon.restart();
}

#[test]
fn a_credential_of_systemd_is_taken_with_the_permissions_that_systemd_gives_it() {
    let mut daemon = Daemon::prepare(Config::default());
    let key = daemon.place().join("root.key");
    let directory = daemon.place().to_str().unwrap().to_owned();
    let given = |directory: &str| vec![("CREDENTIALS_DIRECTORY".to_owned(), directory.to_owned())];
    fs::set_permissions(&key, Permissions::from_mode(0o440)).unwrap();
    for elsewhere in [Vec::new(), given("/run/credentials/another.service")] {
        daemon.configure(|config| config.environment = elsewhere);
        assert_eq!(exit_code(&mut daemon), 78);
    }
    daemon.configure(|config| config.environment = given(&directory));
    // systemd's credentials belong to root, and so do the files of a test that root runs.
    if fs::metadata(&key).unwrap().uid() == 0 {
        daemon.restart();
        assert!(daemon.terminate().success());
    } else {
        assert_eq!(exit_code(&mut daemon), 78);
    }
    fs::set_permissions(&key, Permissions::from_mode(0o444)).unwrap();
    assert_eq!(exit_code(&mut daemon), 78);
}

#[test]
fn a_file_that_holds_no_key_is_refused_without_telling_what_it_holds() {
    let mut daemon = Daemon::prepare(Config::default());
    fs::write(daemon.place().join("root.key"), "correct horse battery staple").unwrap();
    assert_eq!(exit_code(&mut daemon), 78);
    fs::remove_file(daemon.place().join("root.key")).unwrap();
    assert_eq!(exit_code(&mut daemon), 78);
    assert!(!daemon.log().contains("horse"), "{}", daemon.log());
}

#[test]
fn a_wrong_configuration_is_refused_with_the_place_of_the_fault() {
    let mut daemon = Daemon::prepare(Config::default().limits("frames = \"64KiB\""));
    assert_eq!(exit_code(&mut daemon), 78);
    let log = daemon.log();
    assert!(log.contains("line ") && log.contains("did you mean `frame`"), "{log}");
    assert!(!daemon.data_path().exists(), "the data directory was made");
    fs::remove_file(daemon.config_path()).unwrap();
    assert_eq!(exit_code(&mut daemon), 78);
}

#[test]
fn an_address_that_is_taken_is_refused_before_anything_is_written() {
    let mut daemon = Daemon::prepare(Config::default());
    for address in [daemon.listen().api, daemon.listen().admin, daemon.switch_address("edge-2")] {
        let taken = TcpListener::bind(address).unwrap();
        assert_eq!(exit_code(&mut daemon), 1);
        assert!(daemon.log().contains(&address.to_string()), "{}", daemon.log());
        drop(taken);
    }
    assert!(!daemon.data_path().exists(), "the data directory was made");
    assert!(!daemon.place().join("recalld.sock").exists(), "the socket was left behind");
}

#[test]
fn what_the_daemon_makes_is_for_its_user_alone() {
    let daemon = Daemon::start();
    daemon.edge().start("one", ANNA);
    let mut found = BTreeMap::new();
    content(&daemon.data_path(), &mut found);
    for path in found.into_keys() {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} has mode {:o}", path.display(), mode);
    }
}
