//! Values of variables: what is accepted means what was written, holds no whitespace between tokens,
//! and is accepted again as it is.

use recalld::domain::value::JsonText;
use serde_json::Value;
use serde_json::value::RawValue;

/// Looks at one input: a text.
pub fn run(input: &[u8]) {
    let text = super::text(input);
    let Ok(raw) = serde_json::from_str::<&RawValue>(text) else {
        // Text that no parser has seen must not make it panic either.
        let _ = JsonText::check(text, 4096);
        return;
    };
    if let Ok(checked) = JsonText::check(raw.get(), 4096) {
        if let Ok(written) = serde_json::from_str::<Value>(raw.get()) {
            let kept: Value = serde_json::from_str(checked.as_str()).expect("a checked value is JSON");
            assert_eq!(kept, written);
        }
        assert_eq!(JsonText::check(checked.as_str(), 4096).as_ref(), Ok(&checked));
    }
}
