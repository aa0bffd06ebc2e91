//! Durations: what is read is written in a form that reads as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recalld::domain::duration;

fuzz_target!(|text: &str| {
    if let Ok(length) = duration::parse(text) {
        assert_eq!(duration::parse(&duration::format(length)), Ok(length));
    }
});
