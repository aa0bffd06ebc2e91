//! Exit codes (PRODUCT.md 8), and the errors that carry them to the end of the program.

/// What was asked for is done.
pub(super) const OK: u8 = 0;
/// Anything that has no code of its own.
pub(super) const FAILED: u8 = 1;
/// The command line is wrong.
pub(super) const USAGE: u8 = 2;
/// The daemon cannot be reached (`EX_UNAVAILABLE`).
pub(super) const UNREACHABLE: u8 = 69;
/// The configuration is wrong (`EX_CONFIG`).
pub(super) const CONFIGURATION: u8 = 78;

/// An end of the program with a code of its own. With an empty text nothing more is printed.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(super) struct ExitWith {
    code: u8,
    text: String,
}

/// An end with this code and text.
pub(super) fn with(code: u8, text: impl Into<String>) -> anyhow::Error {
    ExitWith { code, text: text.into() }.into()
}

/// An end with this code when everything has been said already.
pub(super) fn silently(code: u8) -> anyhow::Error {
    with(code, "")
}

/// The code of an error and the text to print for it.
pub(super) fn explain(error: &anyhow::Error) -> (u8, String) {
    let code = error.chain().find_map(|cause| cause.downcast_ref::<ExitWith>()).map_or(FAILED, |exit| exit.code);
    (code, format!("{error:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_code_survives_the_context_that_is_put_around_it() {
        let failed: anyhow::Result<()> = Err(with(UNREACHABLE, "nobody answers")).context("status");
        assert_eq!(explain(&failed.unwrap_err()), (UNREACHABLE, "status: nobody answers".to_owned()));
        assert_eq!(explain(&anyhow::anyhow!("x")), (FAILED, "x".to_owned()));
        assert_eq!(explain(&silently(FAILED)), (FAILED, String::new()));
    }
}
