//! The configuration file: any text is a configuration or errors, each with a place inside the text.

use recalld::config::Config;

/// Looks at one input: the text of a file.
pub fn run(input: &[u8]) {
    let text = super::text(input);
    if let Err(errors) = Config::parse(text) {
        assert!(errors.iter().is_sorted_by_key(|error| (error.line, error.column)), "not in the order of the file");
        for error in errors.iter() {
            assert!(error.line <= text.split('\n').count(), "line {} of a shorter text", error.line);
        }
    }
}
