//! `GET /v1/watch` (PRODUCT.md 6.1): a WebSocket on which a voice app watches sessions, calls and releases, and writes
//! variables.
//!
//! | file | subject |
//! |---|---|
//! | `socket` | one connection: operations, key, signs of life |
//! | `line` | sending, and leaving those who do not take it |
//! | `messages` | what clients hear; what they say is in `wire::watch` |
//! | `target` | what is watched, and what of it may be seen |
//! | `watched` | one subscription: catching up, live, bookmarks, `lagged` |
//! | `snapshot`, `resume` | how a subscription begins |
//! | `cursor` | places in the log, encrypted |
//!
//! A slow client never slows the daemon: its task waits for room in its own connection, meanwhile the bounded queues of
//! its subscriptions collapse to the latest change of each variable, and then it gets `lagged` and fresh snapshots.

pub(super) mod cursor;
mod line;
mod messages;
mod resume;
mod snapshot;
mod socket;
mod target;
mod watched;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, ORIGIN};
use actix_web::{HttpRequest, HttpResponse, web};

pub use cursor::CursorKeys;

use super::api_key::{KeyHash, unauthorized};
use super::house::House;
use super::problem::Problem;
use crate::domain::refusal::{Reason, Refusal};
use line::Line;
use socket::Socket;

/// The one subprotocol. A key that a browser sends as another one is never echoed.
const SUBPROTOCOL: &str = "recalld.v1";

/// Opens a WebSocket.
pub(super) async fn watch(
    house: web::Data<House>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    check_origin(request.headers(), &house.config().api.origins)?;
    let presented = KeyHash::of_handshake(request.headers());
    let access = house.let_in(presented)?;
    let presented = presented.ok_or_else(unauthorized)?;
    if house.drain.has_begun() {
        return Err(Refusal::new(Reason::Overloaded, "recalld stops: connect again").into());
    }
    let opened = actix_ws::handle_with_protocols(&request, payload, &[SUBPROTOCOL]);
    let (response, session, stream) = opened.map_err(|_| {
        let detail = "this path takes WebSocket handshakes only: connect with a WebSocket client";
        Problem::with_status(StatusCode::UPGRADE_REQUIRED, Reason::InvalidRequest, detail)
    })?;
    let limit = house.body_limit();
    let incoming = stream.max_frame_size(limit).aggregate_continuations().max_continuation_size(limit);
    let line = Line::new(house, access, session)
        .map_err(|_| Refusal::new(Reason::Internal, "the system gives no random bytes"))?;
    actix_web::rt::spawn(Socket::new(line, presented).run(incoming));
    Ok(response)
}

/// Browsers say which page wants to connect; only pages of the configuration may. Programs say nothing.
fn check_origin(headers: &HeaderMap, allowed: &[String]) -> Result<(), Refusal> {
    let mut origins = headers.get_all(ORIGIN).peekable();
    if origins.peek().is_none() {
        return Ok(());
    }
    let is_allowed = origins.all(|origin| {
        origin.to_str().is_ok_and(|origin| allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)))
    });
    if is_allowed {
        return Ok(());
    }
    Err(Refusal::new(Reason::NotAllowed, "pages of this origin may not connect: add it to origins in [api]"))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn pages_connect_from_configured_origins_only_and_programs_from_anywhere() {
        let allowed = ["https://desk.example.com".to_owned()];
        let check = |origins: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for origin in origins {
                headers.append(ORIGIN, HeaderValue::from_static(origin));
            }
            check_origin(&headers, &allowed).is_ok()
        };
        assert!(check(&[]));
        assert!(check(&["https://DESK.example.com"]));
        assert!(!check(&["https://evil.example.com"]));
        assert!(!check(&["null"]));
        assert!(!check(&["https://desk.example.com", "https://evil.example.com"]));
    }
}
