//! Numbers, display names and headers of running calls in a session's record, for releases that keep them (PRODUCT.md
//! 3.6). They are part of what is sealed, go with the next record after the end of the call, and are never in the log.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::caller::{CallerDetails, CallerNumber};
use crate::domain::ids::CallId;
use crate::domain::session::Session;

/// What is kept of one call, as it is written.
#[derive(Serialize)]
pub(super) struct Keeping<'a> {
    call: &'a CallId,
    number: Option<&'a str>,
    display: Option<&'a str>,
    headers: Option<&'a str>,
}

/// What was kept of one call.
#[derive(Deserialize)]
pub(super) struct Kept {
    call: CallId,
    number: Option<String>,
    display: Option<String>,
    headers: Option<String>,
}

impl Keeping<'_> {
    /// Bytes it takes, so that the record is written in one piece and leaves no copy of a number behind.
    pub(super) fn size(&self) -> usize {
        let texts = [self.number, self.display, self.headers].into_iter().flatten();
        16 + self.call.as_str().len() + texts.map(str::len).sum::<usize>()
    }
}

/// What is to be kept of a session's active calls.
pub(super) fn of(session: &Session) -> Vec<Keeping<'_>> {
    let known = session.calls.iter().filter_map(|call| Some((&call.id, call.details.as_deref()?)));
    known
        .map(|(call, details)| Keeping {
            call,
            number: details.number.as_ref().map(CallerNumber::reveal),
            display: details.display.as_ref().map(CallerNumber::reveal),
            headers: details.headers.as_ref().map(CallerNumber::reveal),
        })
        .collect()
}

/// Gives the calls of a session what was kept of them.
pub(super) fn give_back(session: &mut Session, kept: Vec<Kept>) {
    for Kept { call, number, display, headers } in kept {
        let details = CallerDetails {
            number: number.map(CallerNumber::new),
            display: display.map(CallerNumber::new),
            headers: headers.map(CallerNumber::new),
        };
        session.attach_details(&call, Some(Arc::new(details)));
    }
}
