//! recalld under a real systemd, installed as the README says: start, crash, hang, reload, a wrong configuration, end.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by a panic"
)]

mod support;

#[path = "service/machine.rs"]
mod machine;

use std::time::Duration;

use serde_json::json;

use machine::Machine;
use support::{Framing, Rpc, wait};

const ANNA: &str = "+493023125101";
/// How long a restart by systemd may take, on a busy machine.
const RESTART: Duration = Duration::from_secs(30);

fn switch(machine: &Machine) -> Rpc {
    Rpc::connect(machine.listen.switches[0], Framing::Netstring)
}

/// Waits until systemd has started it again, so many times in all at least.
fn restarted(machine: &Machine, times: u32) {
    let is_back = || {
        let is_active = machine.property("ActiveState") == "active";
        (is_active && machine.property("NRestarts").parse::<u32>().unwrap() >= times).then_some(())
    };
    assert!(wait::within(RESTART, is_back).is_some(), "not started again within {RESTART:?}");
}

#[test]
fn installed_as_the_readme_says_it_serves_as_a_user_of_its_own_and_ends_in_order() {
    let Some(machine) = Machine::boot() else { return };
    machine.install();
    assert_eq!(machine.property("ActiveState"), "active");
    assert_eq!(machine.property("StatusText"), "0 active calls, 0 connections of switches");
    let process = machine.property("MainPID");
    let status = machine.run(&format!("cat /proc/{process}/status"));
    let of_status = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert!(!of_status("Uid:").split_whitespace().any(|user| user == "0"), "{status}");
    assert_eq!((of_status("CapEff:").as_str(), of_status("NoNewPrivs:").as_str()), ("0000000000000000", "1"));
    assert_eq!(of_status("Seccomp:"), "2");

    let mut edge = switch(&machine);
    assert_eq!(edge.start("call-1", ANNA)["returning"], false);
    assert!(machine.run("/opt/recalld status").contains("1 active"));
    // Who is neither root nor of the group recalld sees nothing.
    let nobody = |what: &str| machine.try_run(&format!("setpriv --reuid=nobody --regid=nogroup --clear-groups {what}"));
    for what in [
        "/opt/recalld status",
        "cat /etc/recalld/root.key",
        "cat /etc/recalld/recalld.toml",
        "ls /var/lib/recalld",
        "cat /run/credentials/recalld.service/root.key",
    ] {
        machine.run(what);
        assert!(!nobody(what).status.success(), "{what}");
    }
    assert!(nobody("true").status.success());
    let member = "setpriv --reuid=nobody --regid=nogroup --groups=recalld /opt/recalld calls";
    assert!(machine.run(member).contains("call-1"));

    edge.end("call-1");
    machine.run("systemctl stop recalld");
    assert_eq!((machine.property("ActiveState"), machine.property("Result")), ("inactive".into(), "success".into()));
    let journal = machine.journal();
    assert!(!journal.contains(&ANNA[1..]) && !journal.contains("call-1"), "{journal}");
    assert!(!journal.contains("WARN") && !journal.contains("ERROR"), "{journal}");

    machine.run("systemctl start recalld");
    assert_eq!(switch(&machine).start("call-2", ANNA)["returning"], true);
}

#[test]
fn after_a_crash_and_when_it_hangs_it_is_started_again_with_its_calls() {
    let Some(machine) = Machine::boot() else { return };
    machine.install();
    let mut before = switch(&machine);
    before.start("one", ANNA);
    before.set("one", "call", json!({"step": 1}));
    machine.run(&format!("kill -KILL {}", machine.property("MainPID")));
    restarted(&machine, 1);
    let mut after = switch(&machine);
    assert_eq!(after.context("one")["variables"], json!({"step": 1}));

    // Thirty seconds are what the unit says.
    machine.run(
        "mkdir -p /run/systemd/system/recalld.service.d
        printf '[Service]\\nWatchdogSec=5s\\n' > /run/systemd/system/recalld.service.d/soon.conf
        systemctl daemon-reload && systemctl restart recalld",
    );
    assert_eq!(machine.property("NRestarts"), "0");
    std::thread::sleep(Duration::from_secs(7));
    assert_eq!(machine.property("NRestarts"), "0", "it feeds the watchdog while it is well");
    let mut before = switch(&machine);
    before.set("one", "call", json!({"step": 2}));
    machine.run(&format!("kill -STOP {}", machine.property("MainPID")));
    restarted(&machine, 1);
    assert_eq!(switch(&machine).context("one")["variables"], json!({"step": 2}));
    assert!(machine.journal().contains("Watchdog timeout"), "{}", machine.journal());
}

#[test]
fn a_wrong_configuration_is_not_taken_over_and_not_started_again_and_again() {
    let Some(machine) = Machine::boot() else { return };
    machine.install();
    let mut edge = switch(&machine);
    edge.start("one", ANNA);
    let good = machine.run("cat /etc/recalld/recalld.toml");
    machine.run("cp /etc/recalld/recalld.toml /run/good.toml && echo 'no_such_key = 1' >> /etc/recalld/recalld.toml");
    let reload = machine.try_run("systemctl reload recalld");
    assert!(!reload.status.success());
    let is_told = || machine.journal().contains("no_such_key").then_some(());
    assert!(wait::within(wait::LONG, is_told).is_some(), "{}", machine.journal());
    assert_eq!(machine.property("ActiveState"), "active");
    edge.set("one", "call", json!({"step": 1}));

    let restart = machine.try_run("systemctl restart recalld");
    assert!(!restart.status.success());
    // Longer than the pause before a restart.
    std::thread::sleep(Duration::from_secs(3));
    let told = ["ActiveState", "ExecMainStatus", "NRestarts"].map(|name| machine.property(name));
    assert_eq!(told, ["failed", "78", "0"]);

    machine.run("cat /run/good.toml > /etc/recalld/recalld.toml && systemctl start recalld");
    assert_eq!(machine.run("cat /etc/recalld/recalld.toml"), good);
    let process = machine.property("MainPID");
    machine.run("echo '# changed' >> /etc/recalld/recalld.toml && systemctl reload recalld");
    assert_eq!(machine.property("MainPID"), process);
    let is_taken_over = || machine.journal().contains("the configuration is reloaded").then_some(());
    assert!(wait::within(wait::LONG, is_taken_over).is_some(), "{}", machine.journal());
    assert_eq!(switch(&machine).context("one")["variables"], json!({"step": 1}));
}
