//! Connections: who may open one, and how they end.

use std::net::TcpStream;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tungstenite::client::{ClientRequestBuilder, client};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, WebSocket};

use super::support::config::api_key;
use super::support::{Config, Daemon, KEY, Watcher, wait};
use super::{ANNA, release, short};

/// A handshake with these headers.
fn handshake(daemon: &Daemon, headers: &[(&str, &str)], protocols: &[&str]) -> Result<Opened, u16> {
    let address = daemon.listen().api;
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(wait::LONG)).unwrap();
    let mut request = ClientRequestBuilder::new(format!("ws://{address}/v1/watch").parse().unwrap());
    for (name, value) in headers {
        request = request.with_header(*name, *value);
    }
    for protocol in protocols {
        request = request.with_sub_protocol(*protocol);
    }
    match client(request, stream) {
        Ok((socket, response)) => {
            let protocol = response.headers().get("sec-websocket-protocol");
            Ok(Opened { socket, protocol: protocol.map(|protocol| protocol.to_str().unwrap().to_owned()) })
        }
        Err(tungstenite::HandshakeError::Failure(Error::Http(response))) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

/// An open socket, and the subprotocol the daemon chose.
#[derive(Debug)]
struct Opened {
    socket: WebSocket<TcpStream>,
    protocol: Option<String>,
}

impl Opened {
    fn with_key(daemon: &Daemon) -> Self {
        handshake(daemon, &[("Authorization", &format!("Bearer {KEY}"))], &["recalld.v1"]).unwrap()
    }

    /// The answer to a message; none if the daemon closed instead.
    fn answer(&mut self, message: Message) -> Result<String, Option<CloseCode>> {
        self.socket.send(message).unwrap();
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => return Ok(text.as_str().to_owned()),
                Ok(Message::Close(frame)) => return Err(frame.map(|frame| frame.code)),
                Ok(_) => {}
                Err(_) => return Err(None),
            }
        }
    }
}

#[test]
fn a_browser_sends_its_key_as_a_subprotocol_and_its_page_must_be_configured() {
    let daemon = Daemon::start();
    let bearer = format!("bearer.{KEY}");
    let opened = handshake(&daemon, &[], &["recalld.v1", &bearer]).expect("a program needs no origin");
    assert_eq!(opened.protocol.as_deref(), Some("recalld.v1"), "the key is not echoed");
    assert_eq!(handshake(&daemon, &[], &["recalld.v1", "bearer.rk_wrong"]).unwrap_err(), 401);
    assert_eq!(handshake(&daemon, &[], &["recalld.v1"]).unwrap_err(), 401);
    let foreign = [("Origin", "https://evil.example.com")];
    assert_eq!(handshake(&daemon, &foreign, &["recalld.v1", &bearer]).unwrap_err(), 403);
}

#[test]
fn an_idle_subscription_gets_bookmarks_to_go_on_from() {
    let daemon = Daemon::start();
    let mut watcher = daemon.watcher(KEY);
    watcher.subscribe("a", &release());
    let bookmark = watcher.until("a bookmark", |message| message["type"] == "bookmark");
    assert_eq!(bookmark["id"], "a");
    daemon.edge().start("x", ANNA);
    let mut to = release();
    to["from"] = bookmark["cursor"].clone();
    let (missed, _) = daemon.watcher(KEY).subscribe("a", &to);
    assert_eq!(missed.iter().map(short).collect::<Vec<_>>(), ["call started x"]);
}

#[test]
fn a_key_that_is_taken_away_closes_its_sockets() {
    let mut config = Config::default();
    let second = config.tenants.rfind("[[tenant]]").expect("there are two tenants");
    let key = api_key("guest", "rk_guest", r#"["calls:watch", "context:read"]"#);
    config.tenants.insert_str(second, &key);
    let mut daemon = Daemon::with(config);
    let (mut guest, mut other) = (daemon.watcher("rk_guest"), daemon.watcher(KEY));
    guest.subscribe("a", &release());
    other.subscribe("a", &release());
    daemon.configure(|config| config.tenants = config.tenants.replace(&key, ""));
    daemon.signal(Signal::HUP);
    let why = closed(&mut guest);
    assert!(why.contains("Policy"), "{why}");
    daemon.edge().start("x", ANNA);
    let started = other.until("the start", |message| message["type"] == "call");
    assert_eq!(short(&started), "call started x");
}

#[test]
fn a_stopping_daemon_says_goodbye() {
    let mut daemon = Daemon::start();
    let mut watcher = daemon.watcher(KEY);
    watcher.subscribe("a", &release());
    daemon.signal(Signal::TERM);
    let goodbye = closed(&mut watcher);
    assert!(goodbye.contains("Away"), "{goodbye}");
    assert!(daemon.wait_exit(Duration::from_secs(20)).is_some_and(|status| status.success()));
}

#[test]
fn what_is_no_text_or_too_long_closes_the_socket() {
    let daemon = Daemon::start();
    let binary = Opened::with_key(&daemon).answer(Message::binary(vec![1, 2, 3]));
    assert_eq!(binary, Err(Some(CloseCode::Unsupported)));
    let long = Opened::with_key(&daemon).answer(Message::text("x".repeat(600_000)));
    assert!(matches!(long, Err(None | Some(CloseCode::Size))), "{long:?}");
    let mut clumsy = Opened::with_key(&daemon);
    assert!(clumsy.answer(Message::text("{")).is_ok_and(|answer| answer.contains("parse_error")));
    let get = json!({"op": "get", "id": "a", "call_id": "none"}).to_string();
    assert!(clumsy.answer(Message::text(get)).is_ok_and(|answer| answer.contains("unknown_call")));
}

/// How the daemon closed the socket.
fn closed(watcher: &mut Watcher) -> String {
    loop {
        match watcher.poll(wait::LONG) {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the socket is still open"),
            Err(error) => return error,
        }
    }
}
