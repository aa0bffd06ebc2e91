//! Who may connect, and whose calls they are (PRODUCT.md 5.1, 8).

use std::net::{SocketAddr, TcpStream};

use serde_json::json;
use tokio::net::TcpSocket;

use super::ANNA;
use super::support::{Config, Daemon, Framing, Rpc, Switch, rpc};

/// A connection that comes from this address.
fn connect_from(from: &str, to: SocketAddr) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(from.parse().unwrap()).unwrap();
        socket.connect(to).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream
}

#[test]
fn only_the_networks_of_the_allow_list_may_connect() {
    let mut only = Switch::trusted("edge-1");
    only.lines.push_str("allow = [\"127.0.7.0/24\"]\n");
    let daemon = Daemon::with(Config::default().switches([only]));
    let to = daemon.switch_address("edge-1");

    let mut allowed = Rpc::over(connect_from("127.0.7.9:0", to), Framing::Netstring);
    assert_eq!(allowed.ok("ping", &json!({})), json!({"pong": true}));

    let refused = connect_from("127.0.8.9:0", to);
    let mut refused = Rpc::over(refused, Framing::Netstring);
    // The daemon may have closed already, so a failed write is fine.
    let _ = std::io::Write::write_all(
        &mut refused.stream(),
        &Framing::Netstring.frame(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#),
    );
    for document in refused.until_closed() {
        let (_, answer) = rpc::read_answer(&document);
        assert_eq!(answer.unwrap_err().reason, "not_allowed");
    }
    assert_eq!(allowed.ok("ping", &json!({})), json!({"pong": true}));
}

#[test]
fn one_switch_at_two_addresses_is_two_legs() {
    let daemon = Daemon::start();
    let to = daemon.switch_address("edge-1");
    let mut one = Rpc::over(connect_from("127.0.7.1:0", to), Framing::Netstring);
    let mut other = Rpc::over(connect_from("127.0.7.2:0", to), Framing::Netstring);
    one.start("shared", ANNA);
    other.start("shared", ANNA);
    one.end("shared");
    assert_eq!(other.context("shared")["active_calls"], 1);
    other.end("shared");
    assert_eq!(other.context_reason("shared"), "unknown_call");
}

#[test]
fn the_called_number_tells_the_tenants_of_one_switch_apart() {
    let shared = Switch::new("edge-1", "tenants = [\"acme\", \"globex\"]\nregion = \"DE\"\n");
    let daemon = Daemon::with(Config::default().switches([shared]));
    let mut edge = daemon.edge();
    let german = edge.ok("call.start", &rpc::start_to("a", ANNA, "tel:+493023125199"));
    assert_eq!((&german["tenant"], &german["instance_id"]), (&json!("acme"), &json!("support-de")));
    let english = edge.ok("call.start", &rpc::start_to("b", ANNA, "sip:+44 20 7946 0000@192.0.2.1"));
    assert_eq!((&english["tenant"], &english["instance_id"]), (&json!("globex"), &json!("helpdesk-uk")));
    assert_eq!(edge.refused("call.start", &rpc::start_to("c", ANNA, "tel:+442079460001")), "unknown_release");
}

#[test]
fn a_switch_reaches_releases_and_calls_of_its_own_tenants_only() {
    let globex = Switch::new("edge-2", "tenant = \"globex\"\nregion = \"GB\"\n");
    let daemon = Daemon::with(Config::default().switches([Switch::trusted("edge-1"), globex]));
    let mut edge = daemon.edge();
    let mut foreign = daemon.switch("edge-2", Framing::Netstring);
    edge.start("private", ANNA);
    assert_eq!(foreign.context_reason("private"), "unknown_call");
    assert_eq!(foreign.ok("call.end", &json!({"call_id": "private"})), json!({}));
    assert_eq!(edge.context("private")["active_calls"], 1, "nobody else ends it");
    let mut start = rpc::start("grab", ANNA);
    start["instance_id"] = json!("support-de");
    let reason = foreign.refused("call.start", &start);
    assert!(matches!(reason.as_str(), "unknown_release" | "not_allowed"), "{reason}");
    start["instance_id"] = json!("sales-us");
    assert_eq!(edge.ok("call.start", &start)["instance_id"], "sales-us", "a named release comes before the number");
}
