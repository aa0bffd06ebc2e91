//! A voice app on the WebSocket.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::client::{ClientRequestBuilder, client};
use tungstenite::{Error, Message, WebSocket};

use super::wait::LONG;

/// One connection with any number of subscriptions.
pub struct Watcher {
    socket: WebSocket<TcpStream>,
}

impl Watcher {
    /// Connects with the subprotocol and an API key.
    #[must_use]
    pub fn connect(address: SocketAddr, key: &str) -> Self {
        Self::try_connect(address, key).unwrap_or_else(|error| panic!("no WebSocket: {error}"))
    }

    /// Connects, or says why not.
    ///
    /// # Errors
    /// What the handshake says.
    pub fn try_connect(address: SocketAddr, key: &str) -> Result<Self, String> {
        let stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let uri = format!("ws://{address}/v1/watch").parse().unwrap();
        let request = ClientRequestBuilder::new(uri)
            .with_header("Authorization", format!("Bearer {key}"))
            .with_sub_protocol("recalld.v1");
        let (socket, _) = client(request, stream).map_err(|error| error.to_string())?;
        Ok(Self { socket })
    }

    /// Sends an operation.
    pub fn send(&mut self, operation: &Value) {
        self.try_send(operation).unwrap();
    }

    /// Sends an operation to a daemon that may be gone.
    ///
    /// # Errors
    /// When it is gone.
    pub fn try_send(&mut self, operation: &Value) -> Result<(), String> {
        self.socket.send(Message::text(operation.to_string())).map_err(|error| error.to_string())
    }

    /// Subscribes as `id` to what `to` names, and returns what came before `synced`, and the cursor of `synced`.
    pub fn subscribe(&mut self, id: &str, to: &Value) -> (Vec<Value>, String) {
        let mut operation = json!({"op": "subscribe", "id": id});
        operation.as_object_mut().unwrap().extend(to.as_object().unwrap().clone());
        self.send(&operation);
        let mut before = Vec::new();
        loop {
            let message = self.next();
            assert_ne!(message["type"], "error", "the subscription is refused: {message}");
            if message["type"] == "synced" && message["id"] == id {
                return (before, message["cursor"].as_str().expect("synced has a cursor").to_owned());
            }
            before.push(message);
        }
    }

    /// The next message; fails the test if none comes.
    pub fn next(&mut self) -> Value {
        match self.poll(LONG) {
            Ok(Some(message)) => message,
            Ok(None) => panic!("no message within {LONG:?}"),
            Err(error) => panic!("the WebSocket is closed: {error}"),
        }
    }

    /// The next message that is wanted; the ones before it are dropped.
    pub fn until(&mut self, what: &str, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        let end = Instant::now() + LONG;
        loop {
            let message = self.next();
            if wanted(&message) {
                return message;
            }
            assert!(Instant::now() < end, "not within {LONG:?}: {what}");
        }
    }

    /// The next message, if one comes within this time.
    ///
    /// # Errors
    /// When the connection is closed or lost.
    pub fn poll(&mut self, most: Duration) -> Result<Option<Value>, String> {
        let until = Instant::now() + most;
        loop {
            let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.socket.get_mut().set_read_timeout(Some(left)).unwrap();
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    let message = serde_json::from_str(text.as_str());
                    return Ok(Some(message.unwrap_or_else(|error| panic!("no JSON ({error}): {text}"))));
                }
                Ok(Message::Close(frame)) => return Err(format!("closed by the daemon: {frame:?}")),
                Ok(_) => {}
                Err(Error::Io(error)) if is_timeout(&error) => {}
                Err(error) => return Err(error.to_string()),
            }
            if Instant::now() >= until {
                return Ok(None);
            }
        }
    }

    /// The connection itself, for what a good client does not do.
    pub fn stream(&self) -> &TcpStream {
        self.socket.get_ref()
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}
