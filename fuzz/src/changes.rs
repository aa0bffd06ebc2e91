//! What voice apps write over HTTP: bodies of PUT and PATCH, and the two conditions. What is taken keeps within the
//! limits, and no refusal quotes what was sent.

use recalld::domain::refusal::Refusal;
use recalld::domain::session::Change;
use recalld::wire::changes::{PatchBody, PutBody, condition, read_json};

const MOST: usize = 1_024;

fn look(taken: Result<Change, Refusal>) {
    match taken {
        Ok(change) => {
            for set in &change.set {
                assert!(set.value.len() <= MOST);
                serde_json::from_str::<serde_json::Value>(set.value.as_str()).expect("a checked value is JSON");
            }
        }
        Err(refusal) => assert!(!refusal.detail.is_empty() && refusal.detail.len() < 512),
    }
}

/// A header's value; an empty line stands for no header.
fn header(line: &str) -> Option<&str> {
    Some(line).filter(|line| !line.is_empty())
}

/// Looks at one input: a line each for If-Match, If-None-Match and the variable's name, then the body.
pub fn run(input: &[u8]) {
    let mut lines = input.splitn(4, |byte| *byte == b'\n');
    let mut line = || super::text(lines.next().unwrap_or_default());
    let (if_match, if_none_match, name) = (header(line()), header(line()), line());
    let body = lines.next().unwrap_or_default();
    let wanted = condition(if_match, if_none_match).ok().flatten();
    look(read_json::<PutBody<'_>>(body).and_then(|put| put.into_change(name, MOST, wanted.clone())));
    look(read_json::<PatchBody<'_>>(body).and_then(|patch| patch.into_change(MOST, wanted)));
}
