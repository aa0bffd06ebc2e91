//! What the process may, whoever starts it.

use std::fs;

use crate::support::Daemon;

#[test]
fn the_process_dumps_no_core_and_has_small_pages_and_all_the_files_it_may() {
    let daemon = Daemon::start();
    let told = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", daemon.pid())).unwrap();
    let limits = told("limits");
    let limit = |name: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel tells it");
        let [soft, hard] = [0, 1].map(|place| line.split_whitespace().nth(place).unwrap().to_owned());
        (soft, hard)
    };
    assert_eq!(limit("Max core file size").0, "0");
    let (soft, hard) = limit("Max open files");
    assert_eq!(soft, hard);
    assert!(told("status").lines().any(|line| line == "THP_enabled:\t0"), "{}", told("status"));
}
