//! How an answer is written.

use serde::Serialize;

use crate::domain::refusal::{Reason, Refusal};

/// An answer as a line.
pub(super) fn line(answer: &impl Serialize) -> Result<String, Refusal> {
    let failed = |_| Refusal::new(Reason::Internal, "the answer cannot be written");
    serde_json::to_string(answer).map(|text| text + "\n").map_err(failed)
}

/// A refusal as a line.
pub(super) fn refused(refusal: &Refusal) -> String {
    let error = serde_json::json!({ "error": { "reason": refusal.reason.as_str(), "detail": refusal.detail } });
    format!("{error}\n")
}
