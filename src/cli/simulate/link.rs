//! A connection as Kamailio makes it: netstrings, integer ids, many requests in flight, answers in any order.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::BytesMut;
use futures_util::StreamExt;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::codec::FramedRead;

use crate::cli::exit;
use crate::wire::framing::{self, FrameCodec, Framing};

/// How long an answer may take before the link is given up: far longer than any `answer_within` that makes sense.
const PATIENCE: Duration = Duration::from_secs(65);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Requests that wait for the socket.
const WAITING: usize = 1024;
/// Largest answer that is read: `max_answer` may be 16 MiB.
const LARGEST_ANSWER: usize = 17 << 20;

/// A connection to a `[[switch]]` listener; clones share it. It closes when the last one is dropped.
#[derive(Clone)]
pub(in crate::cli) struct Link {
    requests: mpsc::Sender<Outgoing>,
}

struct Outgoing {
    method: &'static str,
    params: String,
    answer: oneshot::Sender<Answer>,
}

/// What came back: the result as JSON text, or the refusal.
pub(in crate::cli) type Answer = Result<Box<RawValue>, Refused>;

/// A JSON-RPC error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Refused {
    /// The stable word of `error.data.reason`.
    pub(in crate::cli) reason: String,
    /// The sentence for people.
    pub(in crate::cli) detail: String,
}

/// Who waits for which id; none once the connection is over, so that nobody starts to wait for ever.
type Pending = Arc<Mutex<Option<HashMap<i64, oneshot::Sender<Answer>>>>>;

impl Link {
    /// Connects.
    pub(in crate::cli) async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = match timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(unreachable_at(address, &error.to_string())),
            Err(_) => return Err(unreachable_at(address, "no answer")),
        };
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        let pending: Pending = Arc::new(Mutex::new(Some(HashMap::new())));
        let (requests, waiting) = mpsc::channel(WAITING);
        tokio::spawn(write_requests(writer, waiting, Arc::clone(&pending)));
        tokio::spawn(read_answers(reader, pending));
        Ok(Self { requests })
    }

    /// Asks, and waits for the answer. An error means that the connection is over.
    pub(in crate::cli) async fn ask_raw(&self, method: &'static str, params: String) -> anyhow::Result<Answer> {
        let (answer, answered) = oneshot::channel();
        let outgoing = Outgoing { method, params, answer };
        let over = || exit::with(exit::UNREACHABLE, "the connection to recalld is over: see what its log says");
        self.requests.send(outgoing).await.map_err(|_| over())?;
        match timeout(PATIENCE, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(over()),
            Err(_) => Err(exit::with(exit::UNREACHABLE, format!("recalld does not answer {method}"))),
        }
    }

    /// Asks, and reads the result.
    pub(in crate::cli) async fn ask(
        &self,
        method: &'static str,
        params: &Value,
    ) -> anyhow::Result<Result<Value, Refused>> {
        match self.ask_raw(method, params.to_string()).await? {
            Ok(result) => serde_json::from_str(result.get()).map(Ok).context("recalld answered what is no JSON"),
            Err(refused) => Ok(Err(refused)),
        }
    }
}

async fn write_requests(mut socket: OwnedWriteHalf, mut waiting: mpsc::Receiver<Outgoing>, pending: Pending) {
    let mut next_id = 1_i64;
    let mut batch = Vec::new();
    let mut out = BytesMut::new();
    while waiting.recv_many(&mut batch, WAITING).await > 0 {
        for Outgoing { method, params, answer } in batch.drain(..) {
            match pending.lock().as_mut() {
                Some(pending) => pending.insert(next_id, answer),
                None => return,
            };
            let request =
                format!("{{\"jsonrpc\":\"2.0\",\"id\":{next_id},\"method\":\"{method}\",\"params\":{params}}}");
            framing::write_frame(&mut out, Framing::Netstring, &request);
            next_id += 1;
        }
        if socket.write_all(&out).await.is_err() {
            // The reader notices the end, too, and lets everybody go.
            return;
        }
        out.clear();
    }
}

async fn read_answers(socket: OwnedReadHalf, pending: Pending) {
    let mut frames = FramedRead::new(socket, FrameCodec::new(LARGEST_ANSWER));
    while let Some(Ok(Ok(frame))) = frames.next().await {
        let Ok(reply) = serde_json::from_slice::<Reply>(&frame.bytes) else { break };
        let Some(id) = reply.id else { continue };
        let waits = pending.lock().as_mut().and_then(|pending| pending.remove(&id));
        if let Some(answer) = waits {
            // Nobody may wait any more.
            let _ = answer.send(reply.answer());
        }
    }
    *pending.lock() = None;
}

#[derive(Deserialize)]
struct Reply {
    id: Option<i64>,
    result: Option<Box<RawValue>>,
    error: Option<ReplyError>,
}

#[derive(Deserialize)]
struct ReplyError {
    message: String,
    data: Option<ReplyErrorData>,
}

#[derive(Deserialize)]
struct ReplyErrorData {
    reason: String,
}

impl Reply {
    fn answer(self) -> Answer {
        match (self.result, self.error) {
            (Some(result), None) => Ok(result),
            (_, Some(error)) => Err(Refused {
                reason: error.data.map_or_else(|| "unknown".to_owned(), |data| data.reason),
                detail: error.message,
            }),
            (None, None) => Err(Refused {
                reason: "unknown".to_owned(),
                detail: "the answer has neither result nor error".to_owned(),
            }),
        }
    }
}

fn unreachable_at(address: SocketAddr, why: &str) -> anyhow::Error {
    exit::with(
        exit::UNREACHABLE,
        format!(
            "no daemon listens for switches on {address} ({why}): start it, or say with --switch which address its \
             [[switch]] has"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    }

    /// A peer that waits for two requests and answers them in the other order, then hangs up.
    async fn peer(listener: TcpListener) {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = vec![0; 4096];
        let mut read = 0;
        let closed = |bytes: &[u8]| std::str::from_utf8(bytes).unwrap().matches('}').count();
        while closed(&bytes[..read]) < 4 {
            read += stream.read(&mut bytes[read..]).await.unwrap();
        }
        let mut out = BytesMut::new();
        let error =
            r#"{"jsonrpc":"2.0","id":2,"error":{"code":-32001,"message":"no","data":{"reason":"unknown_call"}}}"#;
        framing::write_frame(&mut out, Framing::Netstring, error);
        framing::write_frame(&mut out, Framing::Netstring, r#"{"jsonrpc":"2.0","id":1,"result":{"pong":true}}"#);
        stream.write_all(&out).await.unwrap();
    }

    #[test]
    fn answers_find_their_requests_in_any_order_and_nobody_waits_after_the_end() {
        run(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let peer = tokio::spawn(peer(listener));
            let link = Link::connect(address).await.unwrap();
            let nothing = json!({});
            let (first, second) = tokio::join!(link.ask("ping", &nothing), link.ask("context.get", &nothing));
            assert_eq!(first.unwrap().unwrap(), json!({ "pong": true }));
            assert_eq!(second.unwrap().unwrap_err().reason, "unknown_call");
            peer.await.unwrap();
            assert!(link.ask("ping", &nothing).await.is_err());
        });
    }
}
