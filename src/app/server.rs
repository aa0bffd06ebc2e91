//! Routes, limits of connections, and the end of it all.

use std::any::Any;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Extensions;
use actix_web::dev::Server;
use actix_web::http::{StatusCode, header};
use actix_web::middleware::DefaultHeaders;
use actix_web::rt::net::TcpStream;
use actix_web::{App, HttpServer, web};
use socket2::SockRef;
use tokio::sync::Semaphore;

use super::closing::{Drain, TAKE_WITHIN};
use super::house::{House, MOST_RESUMING};
use super::lookups::Lookups;
use super::problem::Problem;
use super::watch::{self, CursorKeys};
use super::{assurance, calls, lookup, sessions, variables};
use crate::actors::Directory;
use crate::domain::refusal::Reason;
use crate::privacy::audit::Audit;

/// A connection that does not finish its request's head within this time is closed.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// How long a connection may be idle between two requests.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// What waits in the kernel for one peer, so that a slow one does not bind megabytes.
const SEND_BUFFER: usize = 256 * 1024;
/// Most connections of one worker.
const MOST_CONNECTIONS: usize = 16_384;
/// How long requests on their way may take once the server is asked to stop.
const DRAIN_WITHIN: u64 = 5;

/// What the server needs.
pub struct ServerOptions {
    /// The bound address of `[api] listen`.
    pub listener: TcpListener,
    /// Sessions and calls.
    pub directory: Arc<Directory>,
    /// Where it is recorded who saw which number.
    pub audit: Arc<Audit>,
    /// Encrypts the cursors of watchers.
    pub cursor_keys: CursorKeys,
    /// Threads that serve.
    pub workers: usize,
    /// Tells the open sockets that the daemon stops.
    pub drain: Drain,
}

/// Serves until the handle of the returned server is told to stop. Signals are the daemon's business.
///
/// # Errors
/// When the listener cannot be used.
pub fn server(options: ServerOptions) -> std::io::Result<Server> {
    let ServerOptions { listener, directory, audit, cursor_keys, workers, drain } = options;
    let resuming = Semaphore::new(MOST_RESUMING);
    let house = web::Data::new(House { directory, audit, cursor_keys, drain, lookups: Lookups::default(), resuming });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(house.clone())
            .wrap(DefaultHeaders::new().add((header::CACHE_CONTROL, "no-store")))
            .configure(routes)
            .default_service(web::to(unknown_path))
    });
    let server = server
        .workers(workers.max(1))
        .max_connections(MOST_CONNECTIONS)
        .on_connect(limit_sending)
        .client_request_timeout(HEAD_WITHIN)
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(DRAIN_WITHIN)
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
}

fn limit_sending(connection: &dyn Any, _data: &mut Extensions) {
    let Some(stream) = connection.downcast_ref::<TcpStream>() else { return };
    let socket = SockRef::from(stream);
    let limited =
        socket.set_tcp_user_timeout(Some(TAKE_WITHIN)).and_then(|()| socket.set_send_buffer_size(SEND_BUFFER));
    if let Err(error) = limited {
        tracing::warn!("a connection of a voice app has no limits for slow reading: {error}");
    }
}

fn routes(config: &mut web::ServiceConfig) {
    let resource = |path: &str| web::resource(path.to_owned()).default_service(web::to(unknown_method));
    config
        .service(resource("/v1/calls").route(web::get().to(calls::list)))
        .service(resource("/v1/calls/{call_id}").route(web::get().to(calls::get)))
        .service(resource("/v1/calls/{call_id}/assurance").route(web::put().to(assurance::put)))
        .service(resource("/v1/sessions/{session_id}").route(web::get().to(sessions::get)))
        .service(resource("/v1/sessions/{session_id}/variables").route(web::patch().to(variables::patch)))
        .service(
            resource("/v1/sessions/{session_id}/variables/{name}")
                .route(web::put().to(variables::put))
                .route(web::delete().to(variables::delete)),
        )
        .service(resource("/v1/lookup").route(web::post().to(lookup::post)))
        .service(resource("/v1/watch").route(web::get().to(watch::watch)));
}

async fn unknown_path() -> Result<String, Problem> {
    Err(Problem::with_status(StatusCode::NOT_FOUND, Reason::MethodNotFound, "there is nothing at this path"))
}

async fn unknown_method() -> Result<String, Problem> {
    let detail = "this path does not take this HTTP method";
    Err(Problem::with_status(StatusCode::METHOD_NOT_ALLOWED, Reason::MethodNotFound, detail))
}
