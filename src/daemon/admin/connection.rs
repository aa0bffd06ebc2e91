//! The life of one connection: lines in, lines out. Lines, connections and patience are bounded, so that a forgotten
//! client costs nothing.

use std::sync::Arc;
use std::time::Duration;

use actix_rt::task::spawn_blocking;
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::codec::{FramedRead, LinesCodec};

use super::keys::Task;
use super::lines::refused;
use super::request::{Request, Wanted};
use super::socket::{AdminSocket, SocketFile};
use super::watch::Watch;
use super::{audit, calls, retention, session_id, sessions, status};
use crate::daemon::lifecycle::{Lifecycle, Running};
use crate::domain::ids::ReleaseId;
use crate::domain::refusal::{Reason, Refusal};
use crate::privacy::audit::{Entry, What, Who};

const MOST_CONNECTIONS: usize = 64;
/// Longest line of a client: a configuration to be reviewed comes in one.
const LINE: usize = 2 * 1024 * 1024;
/// How long a client may say nothing, and how long it may take to read an answer.
const IDLE: Duration = Duration::from_secs(300);
const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// How long nothing is accepted after the system refused to accept, for want of files.
const REST: Duration = Duration::from_millis(200);

/// Serves until the drain. The file of the socket goes with what is returned.
///
/// # Errors
/// When the socket cannot be used.
pub(in crate::daemon) fn serve(socket: AdminSocket, lifecycle: Arc<Lifecycle>) -> std::io::Result<SocketFile> {
    let AdminSocket { listener, file } = socket;
    let listener = UnixListener::from_std(listener)?;
    actix_rt::spawn(accept(listener, lifecycle));
    Ok(file)
}

async fn accept(listener: UnixListener, lifecycle: Arc<Lifecycle>) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Without a place the client is told so, by closing.
                if let Ok(place) = places.clone().try_acquire_owned() {
                    actix_rt::spawn(run(stream, lifecycle.clone(), place));
                }
            }
            Err(error) => {
                tracing::warn!("the admin socket does not accept: {error}");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

async fn run(stream: UnixStream, lifecycle: Arc<Lifecycle>, _place: OwnedSemaphorePermit) {
    // The kernel knows who it is. Without its word nobody is served: what is done here may have to be audited.
    let Ok(uid) = stream.peer_cred().map(|peer| peer.uid()) else { return };
    let (reading, writing) = stream.into_split();
    let lines = FramedRead::new(reading, LinesCodec::new_with_max_length(LINE));
    let mut connection = Connection { lines, writing, uid };
    // Whatever ends it, the client sees the end.
    let _ended = connection.serve(&lifecycle).await;
}

/// The client is gone, or is not waited for any longer.
struct Gone;

struct Connection {
    lines: FramedRead<OwnedReadHalf, LinesCodec>,
    writing: OwnedWriteHalf,
    /// The user who asks.
    uid: u32,
}

impl Connection {
    async fn serve(&mut self, lifecycle: &Lifecycle) -> Result<(), Gone> {
        while let Ok(Some(read)) = timeout(IDLE, self.lines.next()).await {
            let Ok(line) = read else {
                let detail = format!("a request is one line of UTF-8 of at most {LINE} bytes");
                return self.send(&refused(&Refusal::new(Reason::InvalidRequest, detail))).await;
            };
            let answer = match (Request::read(&line), lifecycle.running()) {
                (Ok(Request::Watch(wanted)), Some(running)) => {
                    return self.watch(&wanted, running, lifecycle).await;
                }
                (Ok(Request::RetentionReview(reviewed)), Some(running)) => {
                    self.stream(retention::review(running, reviewed), lifecycle).await?;
                    continue;
                }
                (Ok(Request::RetentionRun), Some(running)) => {
                    let who = Who::Operator { uid: self.uid };
                    self.stream(retention::run(running, who), lifecycle).await?;
                    continue;
                }
                (Ok(request), Some(running)) => match Task::of(request) {
                    Ok(task) => self.do_task(task, running, lifecycle).await?,
                    Err(request) => answer(request, running, lifecycle, self.uid).await,
                },
                (Err(refusal), _) => Err(refusal),
                (_, None) => Err(Refusal::new(Reason::Overloaded, "recalld starts or ends: ask again in a moment")),
            };
            self.send(&answer.unwrap_or_else(|refusal| refused(&refusal))).await?;
        }
        Ok(())
    }

    async fn watch(&mut self, wanted: &Wanted, running: Arc<Running>, lifecycle: &Lifecycle) -> Result<(), Gone> {
        let begun = match self.audit_watch(wanted, &running).await {
            Ok(()) => Watch::begin(running.directory.publisher(), wanted),
            Err(refusal) => Err(refusal),
        };
        // What runs must be able to end while somebody watches.
        drop(running);
        let (watch, first) = match begun {
            Ok(begun) => begun,
            Err(refusal) => return self.send(&refused(&refusal)).await,
        };
        self.send(&first).await?;
        loop {
            let lines = tokio::select! {
                lines = watch.next() => lines,
                // Nothing is asked on a connection that watches: whatever comes is its end.
                _ = self.lines.next() => return Err(Gone),
                () = lifecycle.drained() => return Ok(()),
            };
            match lines {
                Ok(lines) => self.send(&lines).await?,
                Err(refusal) => return self.send(&refused(&refusal)).await,
            }
        }
    }

    /// Whoever watches values sees what callers said: that is recorded first.
    async fn audit_watch(&self, wanted: &Wanted, running: &Running) -> Result<(), Refusal> {
        if !wanted.values {
            return Ok(());
        }
        let entry = Entry::new(Who::Operator { uid: self.uid }, What::ValuesWatched);
        let entry = match wanted.release()? {
            (Some(tenant), Some(instance)) => entry.of_release(&ReleaseId { tenant, instance }),
            (Some(tenant), None) => entry.of_tenant(&tenant),
            (None, _) => entry,
        };
        Ok(running.audit.record(entry).await?)
    }

    /// What takes its time tells how far it is. It is broken off when the client goes away, or at the drain.
    async fn do_task(
        &mut self,
        task: Task,
        running: Arc<Running>,
        lifecycle: &Lifecycle,
    ) -> Result<Result<String, Refusal>, Gone> {
        let (told, mut lines) = mpsc::channel(1);
        let who = Who::Operator { uid: self.uid };
        let mut done = spawn_blocking(move || task.run(&running, who, &told));
        loop {
            tokio::select! {
                answer = &mut done => return Ok(answer.unwrap_or_else(|_| Err(fault()))),
                Some(line) = lines.recv() => self.send(&line).await?,
                () = lifecycle.drained(), if !lines.is_closed() => lines.close(),
            }
        }
    }

    /// Sends what comes until there is no more.
    async fn stream(&mut self, mut lines: mpsc::Receiver<String>, lifecycle: &Lifecycle) -> Result<(), Gone> {
        loop {
            let next = tokio::select! {
                next = lines.recv() => next,
                // Nothing is asked meanwhile: whatever comes is the end.
                _ = self.lines.next() => return Err(Gone),
                // What runs must be able to end.
                () = lifecycle.drained() => return Err(Gone),
            };
            match next {
                Some(lines) => self.send(&lines).await?,
                None => return Ok(()),
            }
        }
    }

    async fn send(&mut self, lines: &str) -> Result<(), Gone> {
        match timeout(WRITE_WITHIN, self.writing.write_all(lines.as_bytes())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }
}

async fn answer(request: Request, running: Arc<Running>, lifecycle: &Lifecycle, uid: u32) -> Result<String, Refusal> {
    let request = match request {
        Request::Session { tenant, session_id } => {
            return sessions::one(&running.directory, &tenant, &session_id).await;
        }
        Request::SessionId(asked) => return session_id::answer(&running, asked, uid).await,
        other => other,
    };
    let phase = lifecycle.phase();
    let answered = spawn_blocking(move || match request {
        Request::Audit(part) => audit::list(&running.audit, &part),
        Request::AuditVerify(against) => audit::verify(&running.audit, &against),
        Request::Calls(part) => calls::answer(&running.directory, &part),
        Request::Sessions(part) => sessions::list(&running.directory, &part),
        Request::RetentionConfirm { what } => retention::confirm(&running, what, Who::Operator { uid }),
        _ => status::answer(&running, phase),
    });
    answered.await.unwrap_or_else(|_| Err(fault()))
}

fn fault() -> Refusal {
    Refusal::new(Reason::Internal, "a fault in recalld: see its log")
}
