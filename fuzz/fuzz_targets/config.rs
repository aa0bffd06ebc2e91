//! The configuration file: any text is a configuration or an error with a place inside the text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recalld::config::Config;

fuzz_target!(|text: &str| {
    if let Err(error) = Config::parse(text) {
        assert!(error.line <= text.split('\n').count(), "line {} of a shorter text", error.line);
    }
});
