//! A switch: JSON-RPC over TCP in both framings.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::wait::LONG;

/// How documents are separated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// `<length>:<JSON>,`
    Netstring,
    /// Concatenated JSON.
    Bare,
}

impl Framing {
    /// One document as bytes.
    #[must_use]
    pub fn frame(self, document: &str) -> Vec<u8> {
        match self {
            Framing::Netstring => format!("{}:{document},", document.len()).into_bytes(),
            Framing::Bare => document.as_bytes().to_vec(),
        }
    }
}

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RpcError {
    /// `error.code`
    pub code: i64,
    /// `error.data.reason`
    pub reason: String,
    /// `error.message`
    pub message: String,
}

/// The outcome of one request.
pub type Answer = Result<Value, RpcError>;

/// What a connection has to say.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    /// An answer.
    Document(Value),
    /// The daemon has closed the connection, or is gone.
    Closed,
    /// Nothing came in time.
    Nothing,
}

/// One connection of a switch. Answers are taken in any order.
pub struct Rpc {
    stream: TcpStream,
    framing: Framing,
    next_id: i64,
    unread: Vec<u8>,
    parked: HashMap<i64, Answer>,
}

impl Rpc {
    /// Connects.
    #[must_use]
    pub fn connect(address: SocketAddr, framing: Framing) -> Self {
        Self::over(TcpStream::connect(address).unwrap(), framing)
    }

    /// Speaks over a connection that is there already.
    #[must_use]
    pub fn over(stream: TcpStream, framing: Framing) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { stream, framing, next_id: 1, unread: Vec::new(), parked: HashMap::new() }
    }

    /// A request with its answer.
    pub fn call(&mut self, method: &str, params: &Value) -> Answer {
        let id = self.send(method, params);
        self.answer(id)
    }

    /// A request that must succeed.
    pub fn ok(&mut self, method: &str, params: &Value) -> Value {
        self.call(method, params).unwrap_or_else(|error| panic!("{method} {params} is refused: {error:?}"))
    }

    /// The reason for which a request is refused.
    pub fn refused(&mut self, method: &str, params: &Value) -> String {
        match self.call(method, params) {
            Ok(result) => panic!("{method} {params} is not refused: {result}"),
            Err(error) => error.reason,
        }
    }

    /// Sends a request and does not wait; the result is its id.
    pub fn send(&mut self, method: &str, params: &Value) -> i64 {
        let (id, frame) = self.request(method, params);
        self.send_raw(&frame);
        id
    }

    /// Sends a notification.
    pub fn notify(&mut self, method: &str, params: &Value) {
        let document = json!({"jsonrpc": "2.0", "method": method, "params": params});
        self.send_raw(&self.framing.frame(&document.to_string()));
    }

    /// Sends one document in this connection's framing.
    pub fn send_document(&mut self, document: &str) {
        self.send_raw(&self.framing.frame(document));
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.try_send_raw(bytes).unwrap();
    }

    /// Sends bytes to a daemon that may be gone.
    ///
    /// # Errors
    /// When it is gone.
    pub fn try_send_raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// A request as bytes, with the next id.
    pub fn request(&mut self, method: &str, params: &Value) -> (i64, Vec<u8>) {
        let id = self.next_id;
        self.next_id += 1;
        let document = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        (id, self.framing.frame(&document.to_string()))
    }

    /// Sends all requests without waiting for an answer in between, while the answers are read. The result is in the
    /// order of the requests.
    pub fn pipeline<'a>(&mut self, requests: impl IntoIterator<Item = (&'a str, Value)>) -> Vec<Answer> {
        let mut bytes = Vec::new();
        let mut ids = Vec::new();
        for (method, params) in requests {
            let (id, frame) = self.request(method, &params);
            ids.push(id);
            bytes.extend_from_slice(&frame);
        }
        let mut writer = self.stream.try_clone().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || writer.write_all(&bytes).unwrap());
            ids.into_iter().map(|id| self.answer(id)).collect()
        })
    }

    /// The answer to the request with this id; answers to others are kept for later.
    pub fn answer(&mut self, id: i64) -> Answer {
        loop {
            if let Some(answer) = self.parked.remove(&id) {
                return answer;
            }
            let document = self.next_document().unwrap_or_else(|| panic!("closed before the answer to {id}"));
            let (id, answer) = read_answer(&document);
            let id = id.unwrap_or_else(|| panic!("an answer to nobody: {document}"));
            assert!(self.parked.insert(id, answer).is_none(), "{id} is answered twice");
        }
    }

    /// The next answer of any id (none for `"id":null`), in the order of arrival; nothing at the end of the connection.
    pub fn next_answer(&mut self) -> Option<(Option<i64>, Answer)> {
        self.next_document().map(|document| read_answer(&document))
    }

    /// The next document; none when the daemon has closed the connection.
    pub fn next_document(&mut self) -> Option<Value> {
        match self.poll_document(LONG) {
            Incoming::Document(document) => Some(document),
            Incoming::Closed => {
                assert!(self.unread.is_empty(), "the daemon closed within an answer");
                None
            }
            Incoming::Nothing => panic!("no answer within {LONG:?}"),
        }
    }

    /// What comes within this time.
    pub fn poll_document(&mut self, most: Duration) -> Incoming {
        let until = Instant::now() + most;
        loop {
            if let Some(document) = self.take_document() {
                return Incoming::Document(document);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Incoming::Nothing;
            }
            self.stream.set_read_timeout(Some(left)).unwrap();
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Incoming::Closed,
                Ok(length) => self.unread.extend_from_slice(&chunk[..length]),
                Err(error) if is_timeout(&error) => return Incoming::Nothing,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Incoming::Closed,
                Err(error) => panic!("cannot read: {error}"),
            }
        }
    }

    fn take_document(&mut self) -> Option<Value> {
        let (document, length) = match self.framing {
            Framing::Netstring => {
                let colon = self.unread.iter().position(|byte| *byte == b':')?;
                let digits = std::str::from_utf8(&self.unread[..colon]).expect("a netstring starts with digits");
                let length: usize = digits.parse().expect("a netstring starts with its length");
                let end = colon + 1 + length;
                let comma = *self.unread.get(end)?;
                assert_eq!(comma, b',', "a netstring ends with a comma");
                let text = &self.unread[colon + 1..end];
                (serde_json::from_slice(text).expect("an answer is JSON"), end + 1)
            }
            Framing::Bare => {
                let mut documents = serde_json::Deserializer::from_slice(&self.unread).into_iter::<Value>();
                match documents.next()? {
                    Ok(document) => (document, documents.byte_offset()),
                    Err(error) if error.is_eof() => return None,
                    Err(error) => panic!("an answer is no JSON: {error}"),
                }
            }
        };
        self.unread.drain(..length);
        Some(document)
    }

    /// Waits until the daemon closes; returns what it said before.
    pub fn until_closed(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.next_document()).collect()
    }

    /// Says that nothing more is sent, and goes on reading.
    pub fn end_of_requests(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// The connection itself.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Starts a call of this caller to the first release of the default configuration; the result is the context.
    pub fn start(&mut self, call_id: &str, number: &str) -> Value {
        self.ok("call.start", &start(call_id, number))
    }

    /// Ends a call.
    pub fn end(&mut self, call_id: &str) {
        assert_eq!(self.ok("call.end", &json!({"call_id": call_id})), json!({}));
    }

    /// Sets variables; the result is the revision.
    pub fn set(&mut self, call_id: &str, lifetime: &str, set: Value) -> u64 {
        let result = self.ok("variables.set", &json!({"call_id": call_id, "lifetime": lifetime, "set": set}));
        result["revision"].as_u64().expect("a revision")
    }

    /// The context of a call.
    pub fn context(&mut self, call_id: &str) -> Value {
        self.ok("context.get", &json!({"call_id": call_id}))
    }

    /// Why there is no context of a call.
    pub fn context_reason(&mut self, call_id: &str) -> String {
        self.refused("context.get", &json!({"call_id": call_id}))
    }
}

/// Parameters of a `call.start` to the release `support-de`.
#[must_use]
pub fn start(call_id: &str, number: &str) -> Value {
    json!({"call_id": call_id, "from": format!("sip:{number}@192.0.2.7"), "to": "sip:+493023125000@192.0.2.1"})
}

/// Parameters of a `call.start` to this called party.
#[must_use]
pub fn start_to(call_id: &str, number: &str, to: &str) -> Value {
    json!({"call_id": call_id, "from": format!("sip:{number}@192.0.2.7"), "to": to})
}

/// Reads an answer and holds its envelope to the contract.
pub fn read_answer(document: &Value) -> (Option<i64>, Answer) {
    assert_eq!(document["jsonrpc"], "2.0", "{document}");
    assert!(document.get("id").is_some(), "an answer has an id: {document}");
    let answer = match (document.get("result"), document.get("error")) {
        (Some(result), None) => Ok(result.clone()),
        (None, Some(error)) => Err(RpcError {
            code: error["code"].as_i64().expect("an error has a code"),
            reason: error["data"]["reason"].as_str().expect("an error has a reason").to_owned(),
            message: error["message"].as_str().expect("an error has a message").to_owned(),
        }),
        _ => panic!("an answer has exactly one of result and error: {document}"),
    };
    (document["id"].as_i64(), answer)
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}
