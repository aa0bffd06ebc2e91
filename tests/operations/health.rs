//! What monitoring sees.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::ANNA;
use crate::support::{Config, Daemon, http, wait};

/// What promtool says of metrics: nothing, if they are well named and well formed.
fn complaints(metrics: &str) -> String {
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.spawn().expect("promtool comes with the Debian package prometheus: install it");
    child.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    format!("{}{}", String::from_utf8_lossy(&said), if output.status.success() { "" } else { "refused" })
}

/// The value of a metric, labels included in the name.
pub fn value(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{metrics}")).parse().unwrap()
}

#[test]
fn live_and_ready_are_told() {
    let daemon = Daemon::start();
    for path in ["/livez", "/readyz"] {
        assert_eq!(http::status(daemon.listen().admin, path), Some(200), "{path}");
    }
    assert_eq!(http::status(daemon.listen().admin, "/"), Some(404));
}

#[test]
fn metrics_are_what_prometheus_wants() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    edge.set("one", "user", json!({"language": "de"}));
    assert_eq!(edge.context_reason("two"), "unknown_call");
    let metrics = daemon.metrics();
    assert_eq!(complaints(&metrics), "");
    for (name, expected) in [
        ("recalld_build_info{version=\"0.1.0\"}", 1.0),
        ("recalld_ready", 1.0),
        ("recalld_read_only", 0.0),
        ("recalld_active_calls", 1.0),
        ("recalld_active_sessions", 1.0),
        ("recalld_calls_in_memory", 1.0),
        ("recalld_sessions_in_memory", 1.0),
        ("recalld_watchers", 0.0),
        ("recalld_switch_connections{switch=\"edge-1\"}", 1.0),
        ("recalld_switch_connections{switch=\"edge-2\"}", 0.0),
        ("recalld_switch_requests_total{method=\"call.start\"}", 1.0),
        ("recalld_switch_refusals_total{reason=\"unknown_call\"}", 1.0),
    ] {
        assert!((value(&metrics, name) - expected).abs() < 1e-9, "{name} is {}", value(&metrics, name));
    }
    assert!(value(&metrics, "recalld_commit_duration_seconds_count") >= 2.0);
    assert!(value(&metrics, "recalld_free_bytes") > 0.0);
}

#[test]
fn a_disk_that_hangs_is_seen() {
    // From some sync on each takes longer than anybody waits.
    let hang = "inject=fdatasync:delay_enter=4000000:when=60+";
    let mut config = Config::default().wrapper(&["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", hang]);
    config.limits = "answer_within = \"350ms\"\n".to_owned();
    let mut daemon = Daemon::with(config);
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    let set = json!({"call_id": "one", "set": {"language": "de"}});
    wait::until("the disk hangs", || edge.call("variables.set", &set).is_err());
    assert_eq!(http::status(daemon.listen().admin, "/livez"), Some(503));
    assert_eq!(http::status(daemon.listen().admin, "/readyz"), Some(200));
    daemon.kill();
}
