//! The log, as journald, a file or a collector wants it.

use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::Value;

use crate::support::{Config, Daemon};

fn lines(log: &str) -> impl Iterator<Item = &str> {
    log.lines().filter(|line| !line.is_empty())
}

#[test]
fn a_file_gets_plain_lines_with_times() {
    let mut daemon = Daemon::start();
    daemon.terminate();
    let log = daemon.log();
    assert!(log.contains("recalld serves") && !log.contains('\u{1b}'), "{log}");
    assert!(lines(&log).all(|line| line.starts_with("20")), "{log}");
}

#[test]
fn the_journal_gets_priorities_and_no_times() {
    let mut daemon = Daemon::prepare(Config::default());
    let file = daemon.place().join("recalld.log");
    fs::write(&file, "").unwrap();
    let found = fs::metadata(&file).unwrap();
    let stream = format!("{}:{}", found.dev(), found.ino());
    daemon.configure(|config| config.environment.push(("JOURNAL_STREAM".to_owned(), stream)));
    daemon.restart();
    daemon.terminate();
    let log = daemon.log();
    assert!(lines(&log).all(|line| line.starts_with('<') && line[2..].starts_with('>')), "{log}");
    assert!(log.contains("<6> INFO recalld::daemon::serve: recalld serves"), "{log}");
}

#[test]
fn a_collector_gets_json_and_the_operator_says_how_much() {
    let config =
        Config::default().environment("RECALLD_LOG_FORMAT", "json").environment("RECALLD_LOG", "recalld::daemon=info");
    let mut daemon = Daemon::with(config);
    daemon.terminate();
    let log = daemon.log();
    let told: Vec<Value> = lines(&log).map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(told.iter().any(|line| line["message"] == "recalld serves" && line["level"] == "INFO"), "{log}");
    assert!(told.iter().all(|line| line["target"].as_str().unwrap().starts_with("recalld::daemon")), "{log}");
}

#[test]
fn a_level_that_is_spelt_wrongly_silences_nothing() {
    let mut daemon = Daemon::with(Config::default().environment("RECALLD_LOG", "debgu"));
    daemon.terminate();
    let log = daemon.log();
    assert!(log.contains("RECALLD_LOG is not followed") && log.contains("debgu"), "{log}");
    assert!(log.contains("recalld serves"), "{log}");
}
