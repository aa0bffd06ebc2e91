//! Durations: what is read is written in a form that reads as the same.

use recalld::domain::duration;

/// Looks at one input: a text.
pub fn run(input: &[u8]) {
    let text = super::text(input);
    if let Ok(length) = duration::parse(text) {
        assert_eq!(duration::parse(&duration::format(length)), Ok(length));
    }
}
