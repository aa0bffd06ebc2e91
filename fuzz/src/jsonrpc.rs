//! Requests with their parameters: any frame is a request or a refusal, and every refusal can be
//! written as an answer that is JSON.

use bytes::BytesMut;
use recalld::wire::answer::{write_error, write_result};
use recalld::wire::framing::Framing;
use recalld::wire::jsonrpc::{ReplyTo, parse_request};

/// Looks at one input: a frame.
pub fn run(frame: &[u8]) {
    let mut out = BytesMut::new();
    match parse_request(frame) {
        Ok(request) => {
            assert!(!format!("{request:?}").is_empty());
            if let Some(id) = &request.id {
                write_result(&mut out, Framing::Bare, id, "{}");
            }
        }
        Err(wrong) => {
            let id = match &wrong.reply_to {
                ReplyTo::Request(id) => Some(id),
                ReplyTo::Unknown | ReplyTo::Nobody => None,
            };
            write_error(&mut out, Framing::Bare, id, &wrong.refusal);
        }
    }
    if !out.is_empty() {
        let answer: serde_json::Value = serde_json::from_slice(&out).expect("an answer is JSON");
        assert!(answer.get("result").is_some() != answer.get("error").is_some());
    }
}
