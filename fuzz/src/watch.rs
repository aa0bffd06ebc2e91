//! What voice apps say on the WebSocket: any text is an operation or a refusal with the id as far as there was one.

use recalld::wire::watch::{Operation, read};

const MOST: usize = 1_024;

/// Looks at one input: the text of a message.
pub fn run(input: &[u8]) {
    match read(super::text(input), MOST) {
        Ok((id, operation)) => {
            assert!((1..=128).contains(&id.len()));
            if let Operation::Set { change, .. } = operation {
                assert!(change.set.iter().all(|set| set.value.len() <= MOST));
            }
        }
        Err(refused) => {
            assert!(refused.id.is_none_or(|id| (1..=128).contains(&id.len())));
            assert!(!refused.refusal.detail.is_empty());
        }
    }
}
