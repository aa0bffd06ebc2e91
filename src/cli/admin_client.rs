//! The client of the admin socket: one JSON object a line, question and answer, or a stream of events.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::{exit, files};
use crate::config::Admin;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the daemon may say nothing about something that takes its time.
const LONG_PATIENCE: Duration = Duration::from_secs(60);

/// Where the daemon is asked.
#[derive(clap::Args)]
pub(super) struct Where {
    /// The admin socket of the daemon; without it the one of the configuration.
    #[arg(long, value_name = "PATH", conflicts_with = "config")]
    socket: Option<PathBuf>,
    /// The configuration file that names the socket.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Where {
    /// The socket: as said, as configured, or where it is by default.
    pub(super) fn socket(&self) -> anyhow::Result<PathBuf> {
        if let Some(socket) = &self.socket {
            return Ok(socket.clone());
        }
        match &self.config {
            Some(config) => Ok(files::config(config)?.admin.socket),
            // Operators who may use the socket need not be allowed to read the configuration.
            None if std::fs::File::open(files::DEFAULT_CONFIG).is_ok() => {
                Ok(files::config(Path::new(files::DEFAULT_CONFIG))?.admin.socket)
            }
            None => Ok(Admin::default().socket),
        }
    }

    /// The configuration file that was named.
    pub(super) fn config_file(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// Connects to the daemon.
    pub(super) async fn connect(&self) -> anyhow::Result<AdminClient> {
        AdminClient::connect(&self.socket()?).await
    }
}

/// A connection to the daemon.
pub(super) struct AdminClient {
    socket: PathBuf,
    answers: BufReader<OwnedReadHalf>,
    /// What of a line has come so far: a stream may be left and taken up again in the middle of one.
    line: Vec<u8>,
    requests: OwnedWriteHalf,
}

impl AdminClient {
    /// Connects, or says what to do.
    pub(super) async fn connect(socket: &Path) -> anyhow::Result<Self> {
        let stream = UnixStream::connect(socket).await.map_err(|error| unreachable_at(socket, &error))?;
        let (answers, requests) = stream.into_split();
        Ok(Self { socket: socket.to_owned(), answers: BufReader::new(answers), line: Vec::new(), requests })
    }

    /// Asks one question.
    pub(super) async fn ask(&mut self, request: &Value) -> anyhow::Result<Value> {
        self.ask_within(request, PATIENCE).await
    }

    /// Asks one question that may take longer.
    pub(super) async fn ask_within(&mut self, request: &Value, patience: Duration) -> anyhow::Result<Value> {
        let exchange = async {
            self.send(request).await?;
            self.next().await
        };
        match timeout(patience, exchange).await {
            Ok(Ok(Some(answer))) => accepted(answer),
            Ok(Ok(None)) => Err(self.gone("the daemon closed the connection")),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(self.gone("the daemon gives no answer")),
        }
    }

    /// Asks for something that takes its time. `told` hears how far it is.
    pub(super) async fn ask_long(&mut self, request: &Value, mut told: impl FnMut(&Value)) -> anyhow::Result<Value> {
        self.send(request).await?;
        loop {
            match timeout(LONG_PATIENCE, self.next()).await {
                Ok(Ok(Some(line))) => match line.get("progress") {
                    Some(progress) => told(progress),
                    None => return accepted(line),
                },
                Ok(Ok(None)) => return Err(self.gone("the daemon closed the connection")),
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(self.gone("the daemon gives no answer")),
            }
        }
    }

    /// Asks for a list that comes in parts, and puts them together.
    pub(super) async fn ask_all(&mut self, mut request: Value, list: &str) -> anyhow::Result<Vec<Value>> {
        let mut all = Vec::new();
        loop {
            let mut answer = self.ask(&request).await?;
            if let Some(Value::Array(part)) = answer.get_mut(list).map(Value::take) {
                all.extend(part);
            }
            match answer.get_mut("next").map(Value::take) {
                None | Some(Value::Null) => return Ok(all),
                Some(next) => {
                    if let Some(from) = request.get_mut("from") {
                        *from = next;
                    }
                }
            }
        }
    }

    /// Asks for the stream of events, and gives its first line, which says that nothing is missed from here on.
    pub(super) async fn watch(&mut self, wanted: &Watching<'_>) -> anyhow::Result<Value> {
        let request = json!({
            "op": "watch", "tenant": wanted.tenant, "instance_id": wanted.instance, "values": wanted.values,
        });
        self.ask(&request).await
    }

    /// Asks for a stream of lines, and tells each until the one of type `end`, that one included.
    pub(super) async fn stream(
        &mut self,
        request: &Value,
        mut told: impl FnMut(&Value) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.send(request).await?;
        loop {
            let line = self.next().await?.ok_or_else(|| self.gone("the daemon closed the connection"))?;
            let line = accepted(line)?;
            told(&line)?;
            if line.get("type").and_then(Value::as_str) == Some("end") {
                return Ok(());
            }
        }
    }

    /// The next line; none when the daemon has closed the connection. May be dropped and called again at any time.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Value>> {
        self.answers
            .read_until(b'\n', &mut self.line)
            .await
            .map_err(|error| self.gone(&format!("the connection to the daemon broke: {error}")))?;
        if self.line.is_empty() {
            return Ok(None);
        }
        let value = serde_json::from_slice(&self.line).context("the daemon answered what is no JSON")?;
        self.line.clear();
        Ok(Some(value))
    }

    /// The end of the program for a daemon that went away.
    pub(super) fn gone(&self, what: &str) -> anyhow::Error {
        exit::with(
            exit::UNREACHABLE,
            format!("{what} ({}): see whether it still runs, and what its log says", self.socket.display()),
        )
    }

    async fn send(&mut self, request: &Value) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.requests
            .write_all(&line)
            .await
            .map_err(|error| self.gone(&format!("the connection to the daemon broke: {error}")))
    }
}

/// Which events are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Watching<'a> {
    /// Of this tenant; none: of all.
    pub(super) tenant: Option<&'a str>,
    /// Of this release; none: of all.
    pub(super) instance: Option<&'a str>,
    /// With the values of variables.
    pub(super) values: bool,
}

/// Turns an error of the daemon into one of this program.
fn accepted(answer: Value) -> anyhow::Result<Value> {
    let Some(error) = answer.get("error") else { return Ok(answer) };
    let text = |member| error.get(member).and_then(Value::as_str).unwrap_or_default();
    Err(anyhow::anyhow!("the daemon refuses: {} ({})", text("detail"), text("reason")))
}

fn unreachable_at(socket: &Path, error: &io::Error) -> anyhow::Error {
    let socket = socket.display();
    let text = match error.kind() {
        io::ErrorKind::NotFound => format!(
            "no daemon is reachable: there is no socket {socket}. Start it (`systemctl start recalld`, or \
             `recalld serve --config FILE`), or say with --socket or --config where it is"
        ),
        io::ErrorKind::ConnectionRefused => format!(
            "no daemon is reachable: nobody listens on {socket}, so it was killed. Start it again (`systemctl start \
             recalld`)"
        ),
        io::ErrorKind::PermissionDenied => format!(
            "you may not use the socket {socket}: be root or a member of the group the daemon runs as (`recalld`)"
        ),
        _ => format!("no daemon is reachable on {socket}: {error}"),
    };
    exit::with(exit::UNREACHABLE, text)
}
