//! Bytes recorded from real Kamailio and OpenSIPS, sent as they are: each request is answered once, in its framing, and
//! notifications are not (PRODUCT.md 5.1). What the recordings' scripts asked for in words of their own is refused.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::support::{Daemon, Framing, rpc};

/// The documents of a recording.
fn documents(bytes: &[u8], framing: Framing) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    match framing {
        Framing::Bare => serde_json::Deserializer::from_str(text).into_iter().collect::<Result<_, _>>().unwrap(),
        Framing::Netstring => {
            let mut rest = text;
            std::iter::from_fn(|| {
                let (length, after) = rest.split_once(':')?;
                let (document, after) = after.split_at(length.parse().unwrap());
                rest = &after[1..];
                Some(serde_json::from_str(document).unwrap())
            })
            .collect()
        }
    }
}

fn replay(switch: &str, framing: Framing) {
    let daemon = Daemon::start();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/captures").join(switch);
    let mut files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        let asked: Vec<Value> = documents(&bytes, framing)
            .into_iter()
            .filter_map(|document| document.get("id").filter(|id| !id.is_null()).cloned())
            .collect();
        let mut edge = daemon.switch("edge-1", framing);
        edge.send_raw(&bytes);
        edge.end_of_requests();
        let answers = edge.until_closed();
        let answered: BTreeSet<String> = answers.iter().map(|answer| answer["id"].to_string()).collect();
        assert_eq!(answers.len(), asked.len(), "{}: {answers:?}", file.display());
        assert_eq!(answered, asked.iter().map(Value::to_string).collect(), "{}", file.display());
        for answer in &answers {
            if let (_, Err(error)) = rpc::read_answer(answer) {
                let reason = error.reason.as_str();
                assert!(
                    matches!(reason, "invalid_params" | "method_not_found" | "unknown_call"),
                    "{}: {error:?}",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn every_request_that_kamailio_sent_is_answered_once() {
    replay("kamailio", Framing::Netstring);
}

#[test]
fn every_request_that_opensips_sent_is_answered_once() {
    replay("opensips", Framing::Bare);
}
