//! What monitoring asks over HTTP at `[admin] listen`: `/livez`, `/readyz`, `/metrics`. Served from the first moment,
//! so that a long start is seen as one.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, ContentType};
use actix_web::{App, HttpResponse, HttpServer, web};

use super::lifecycle::{Lifecycle, Phase};
use super::{metrics, watchdog};

/// How long an event may take to be stored.
const PROBE_WITHIN: Duration = Duration::from_secs(2);
/// Nothing here takes large requests or many connections.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
const MOST_CONNECTIONS: usize = 256;
/// The form of `/metrics`.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves until its handle is told to stop.
pub(super) fn server(listener: TcpListener, lifecycle: Arc<Lifecycle>) -> std::io::Result<Server> {
    let lifecycle = web::Data::from(lifecycle);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(lifecycle.clone())
            .route("/livez", web::get().to(livez))
            .route("/readyz", web::get().to(readyz))
            .route("/metrics", web::get().to(show_metrics))
    });
    let server = server
        .workers(1)
        .max_connections(MOST_CONNECTIONS)
        .client_request_timeout(HEAD_WITHIN)
        .disable_signals()
        .shutdown_timeout(1)
        .listen(listener)?;
    Ok(server.run())
}

/// Whether the daemon works, so that it need not be started again: an event becomes durable in time. A daemon that
/// starts or ends is left to do so.
async fn livez(lifecycle: web::Data<Lifecycle>) -> HttpResponse {
    let running = lifecycle.running().filter(|_| lifecycle.phase() == Phase::Serving);
    match running {
        Some(running) if !watchdog::is_working(&running.directory, PROBE_WITHIN).await => {
            text(StatusCode::SERVICE_UNAVAILABLE, "an event does not become durable")
        }
        _ => text(StatusCode::OK, "alive"),
    }
}

/// Whether it takes calls.
async fn readyz(lifecycle: web::Data<Lifecycle>) -> HttpResponse {
    match lifecycle.phase() {
        Phase::Starting => text(StatusCode::SERVICE_UNAVAILABLE, "starting"),
        Phase::Serving => text(StatusCode::OK, "ready"),
        Phase::Draining => text(StatusCode::SERVICE_UNAVAILABLE, "draining"),
    }
}

async fn show_metrics(lifecycle: web::Data<Lifecycle>) -> HttpResponse {
    let lifecycle = lifecycle.into_inner();
    // RocksDB's figures may take a lock that a write holds.
    match actix_rt::task::spawn_blocking(move || metrics::render(&lifecycle)).await {
        Ok(shown) => HttpResponse::Ok().insert_header((header::CONTENT_TYPE, EXPOSITION)).body(shown),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be told: see the log"),
    }
}

fn text(status: StatusCode, line: &'static str) -> HttpResponse {
    HttpResponse::build(status).content_type(ContentType::plaintext()).body(format!("{line}\n"))
}
