//! The admin socket, as `recalld status`, `calls`, `sessions` and `watch` use it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use crate::ANNA;
use crate::support::{Daemon, rpc, wait};

const BERT: &str = "+493023125102";

/// A client of the socket.
pub struct Client(BufReader<UnixStream>);

impl Client {
    pub fn connect(daemon: &Daemon) -> Self {
        let stream = UnixStream::connect(daemon.place().join("recalld.sock")).unwrap();
        stream.set_read_timeout(Some(wait::LONG)).unwrap();
        Self(BufReader::new(stream))
    }

    pub fn send(&mut self, line: &str) {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// The next line; none when the daemon has closed the connection.
    pub fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        (self.0.read_line(&mut line).unwrap() > 0).then(|| serde_json::from_str(&line).unwrap())
    }

    pub fn ask(&mut self, request: &Value) -> Value {
        self.send(&request.to_string());
        self.next().expect("an answer")
    }
}

/// One question.
pub fn ask(daemon: &Daemon, request: &Value) -> Value {
    Client::connect(daemon).ask(request)
}

#[test]
fn the_status_tells_how_the_daemon_is() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    let status = ask(&daemon, &json!({"op": "status"}));
    assert_eq!((&status["ready"], &status["read_only"]), (&json!(true), &json!(false)));
    assert_eq!((&status["active_calls"], &status["active_sessions"]), (&json!(1), &json!(1)));
    assert_eq!(status["data"]["path"], daemon.data_path().to_str().unwrap());
    assert_eq!(status["data"]["durability"], "strict");
    assert!(status["data"]["free_bytes"].as_u64().unwrap() > 0);
    assert!(status["log"]["sequence"].as_u64().unwrap() > 0);
    assert_eq!(status["api"]["listen"], daemon.listen().api.to_string());
    let edge_1 = json!({"name": "edge-1", "listen": daemon.switch_address("edge-1").to_string(), "connections": 1});
    assert_eq!(status["switches"][0], edge_1);
    assert_eq!(status["warnings"], json!([]));
}

#[test]
fn only_owner_and_group_may_use_the_socket_and_it_goes_with_the_daemon() {
    let mut daemon = Daemon::start();
    let socket = daemon.place().join("recalld.sock");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
    daemon.kill();
    assert!(socket.exists());
    // What a killed daemon left is replaced.
    daemon.restart();
    assert_eq!(ask(&daemon, &json!({"op": "status"}))["ready"], true);
    daemon.terminate();
    assert!(!socket.exists());
}

#[test]
fn active_calls_and_sessions_are_listed_in_parts_and_by_tenant() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    for (call, number) in [("a", ANNA), ("b", BERT), ("c", ANNA)] {
        edge.start(call, number);
    }
    edge.ok("call.answer", &json!({"call_id": "a"}));
    let mut client = Client::connect(&daemon);
    let first = client.ask(&json!({"op": "calls", "tenant": null, "from": null, "limit": 2}));
    let second = client.ask(&json!({"op": "calls", "tenant": "acme", "from": first["next"], "limit": 2}));
    let calls: Vec<_> = [&first, &second].iter().flat_map(|part| part["calls"].as_array().unwrap()).collect();
    assert_eq!(calls.iter().map(|call| call["call_id"].as_str().unwrap()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(second["next"], Value::Null);
    let call = calls[0];
    assert_eq!((&call["tenant"], &call["instance_id"]), (&json!("acme"), &json!("support-de")));
    assert_eq!((&call["state"], &call["assurance"]), (&json!("answered"), &json!("none")));
    assert_eq!(call["legs"], json!([{"switch": "edge-1", "peer": call["legs"][0]["peer"]}]));
    assert!(call["answered_at"].is_string() && calls[1]["answered_at"].is_null());
    let sessions = client.ask(&json!({"op": "sessions", "tenant": "acme", "from": null, "limit": 1000}));
    assert_eq!(sessions["sessions"].as_array().unwrap().len(), 2);
    let others = client.ask(&json!({"op": "sessions", "tenant": "globex", "from": null, "limit": 1000}));
    assert_eq!(others, json!({"sessions": [], "next": null}));
    for answer in [&first, &second, &sessions] {
        assert!(!answer.to_string().contains(&ANNA[4..]), "a number is in {answer}");
    }
}

#[test]
fn a_session_is_shown_with_the_names_of_its_variables_and_without_values() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    let id = edge.start("one", ANNA)["session_id"].as_str().unwrap().to_owned();
    edge.set("one", "user", json!({"language": "secret-de"}));
    edge.set("one", "session", json!({"ticket": "secret-4711"}));
    edge.set("one", "call", json!({"menu": "secret-1"}));
    let request = json!({"op": "session", "tenant": "acme", "session_id": id});
    let answer = ask(&daemon, &request);
    let session = &answer["session"];
    assert_eq!(session["variables"], json!({"call": 1, "session": 1, "user": 1}));
    assert_eq!(
        (&session["contacts"], &session["active_calls"], &session["revision"]),
        (&json!(1), &json!(1), &json!(3))
    );
    let names: Vec<_> =
        session["names"].as_array().unwrap().iter().map(|name| name["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["language", "ticket", "menu"]);
    assert!(!answer.to_string().contains("secret"), "{answer}");
    // Asleep it is the same, without its call.
    edge.end("one");
    let asleep = &ask(&daemon, &request)["session"];
    assert_eq!((&asleep["active_calls"], &asleep["calls"]), (&json!(0), &json!([])));
    assert!(asleep["names"][1]["expires_at"].is_string());
    let other = ask(&daemon, &json!({"op": "session", "tenant": "globex", "session_id": id}));
    assert_eq!(other["error"]["reason"], "unknown_session");
}

#[test]
fn a_session_is_found_by_the_beginning_of_its_id_awake_asleep_and_after_a_restart() {
    let mut daemon = Daemon::start();
    let mut edge = daemon.edge();
    let ids = [("one", ANNA), ("two", BERT)]
        .map(|(call, number)| edge.start(call, number)["session_id"].as_str().unwrap().to_owned());
    for step in ["awake", "asleep", "after a restart"] {
        match step {
            "asleep" => ["one", "two"].iter().for_each(|call| edge.end(call)),
            "after a restart" => {
                daemon.terminate();
                daemon.restart();
            }
            _ => {}
        }
        let shown = |tenant: &str, start: &str| {
            let answer = ask(&daemon, &json!({"op": "session", "tenant": tenant, "session_id": start}));
            (answer["session"]["session_id"].clone(), answer["error"]["reason"].clone())
        };
        for id in &ids {
            for length in [8, 9, 12, 63, 64] {
                assert_eq!(shown("acme", &id[..length]), (json!(id), Value::Null), "{step}: {length} digits");
            }
            assert_eq!(shown("acme", &id[..7]).1, "invalid_params");
            assert_eq!(shown("globex", &id[..12]).1, "unknown_session");
        }
        assert_eq!(shown("acme", "anon-00000000").1, "unknown_session");
    }
}

#[test]
fn a_watcher_sees_what_happens_without_values_unless_it_wants_them() {
    let daemon = Daemon::start();
    let (mut all, mut with_values, mut other) =
        (Client::connect(&daemon), Client::connect(&daemon), Client::connect(&daemon));
    let synced = json!({"type": "synced"});
    assert_eq!(all.ask(&json!({"op": "watch", "tenant": null, "instance_id": null})), synced);
    let wanted = json!({"op": "watch", "tenant": "acme", "instance_id": "support-de", "values": true});
    assert_eq!(with_values.ask(&wanted), synced);
    assert_eq!(other.ask(&json!({"op": "watch", "tenant": "globex", "instance_id": null})), synced);
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    edge.set("one", "user", json!({"language": "de"}));
    edge.end("one");
    edge.ok("call.start", &rpc::start_to("uk", ANNA, "sip:+493023125000@192.0.2.1"));
    for (client, value) in [(&mut all, Value::Null), (&mut with_values, json!("de"))] {
        let (started, change, ended) = (client.next().unwrap(), client.next().unwrap(), client.next().unwrap());
        assert_eq!((&started["type"], &started["event"]), (&json!("call"), &json!("started")));
        assert_eq!((&started["returning"], &started["active_calls"]), (&json!(false), &json!(1)));
        assert_eq!(
            (&change["type"], &change["cause"], &change["name"]),
            (&json!("change"), &json!("set"), &json!("language"))
        );
        assert_eq!((&change["lifetime"], &change["revision"]), (&json!("user"), &json!(1)));
        assert_eq!(change["value"], value);
        assert_eq!((&ended["event"], &ended["active_calls"]), (&json!("ended"), &json!(0)));
        assert_eq!(client.next().unwrap()["returning"], true);
    }
    drop(daemon);
    assert_eq!(other.next(), None);
}

#[test]
fn what_cannot_be_read_is_refused_and_a_line_has_a_bound() {
    let daemon = Daemon::start();
    let mut client = Client::connect(&daemon);
    for line in ["", "{}", "no JSON", r#"{"op":"erase"}"#, r#"{"op":"calls","tenant":"no such name!"}"#] {
        client.send(line);
        assert_eq!(client.next().unwrap()["error"]["reason"], "invalid_params", "{line}");
    }
    assert_eq!(client.ask(&json!({"op": "status"}))["ready"], true);
    client.send(&"x".repeat((2 << 20) + 2));
    assert_eq!(client.next().unwrap()["error"]["reason"], "invalid_request");
    assert_eq!(client.next(), None);
}
