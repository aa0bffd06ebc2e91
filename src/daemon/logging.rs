//! Where the log goes: lines on standard error. Under systemd without a time, which the journal has itself, and with
//! the priority as the journal reads it; on a terminal with colours; as JSON where `RECALLD_LOG_FORMAT` says so.
//! `RECALLD_LOG` says what is told: `info` by default, `debug`, or by part: `warn,recalld::store=debug`.

use std::any::Any;
use std::fmt;
use std::io::IsTerminal;
use std::os::fd::AsFd;

use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// What is told unless somebody says otherwise: the HTTP servers talk about their own starts and ends.
const DEFAULT: &str = "info,actix_server=warn";

/// Sets the log up for the whole process. Whoever did that before keeps it.
pub(super) fn set_up() {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into());
    let filter = match std::env::var("RECALLD_LOG") {
        Ok(wanted) => filter.parse_lossy(wanted),
        Err(_) => filter.parse_lossy(DEFAULT),
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = if std::env::var("RECALLD_LOG_FORMAT").is_ok_and(|format| format == "json") {
        lines.json().flatten_event(true).try_init()
    } else if goes_to_journal() {
        lines.with_ansi(false).event_format(Journal(tracing_subscriber::fmt::format().without_time())).try_init()
    } else {
        let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
        lines.with_ansi(colours).try_init()
    };
    if set.is_ok() {
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            tracing::error!(place, "a fault in recalld: {}", text_of(panic.payload()));
        }));
    }
}

/// The text of a panic as it stands in the source. One that was put together at run time may show what it failed at, a
/// number among it (the standard library quotes the text that it cannot cut): of that the place has to do.
fn text_of(payload: &(dyn Any + Send)) -> &'static str {
    payload.downcast_ref::<&'static str>().copied().unwrap_or("its text may hold data and is left out")
}

/// Whether standard error is the journal: systemd names its device and inode, a child of the service may write
/// elsewhere.
fn goes_to_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    rustix::fs::fstat(std::io::stderr().as_fd()).is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// A line with its priority in front.
struct Journal(Format<Full, ()>);

impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        };
        write!(out, "<{priority}>")?;
        self.0.format_event(context, out, event)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{catch_unwind, panic_any};

    use super::*;

    #[test]
    fn a_panic_is_told_with_its_text_only_if_that_holds_no_data() {
        let number = String::from("+49 30 23125 042 ä");
        let told =
            |fault: Box<dyn Fn() + std::panic::UnwindSafe>| text_of(&*catch_unwind(fault).expect_err("it panics"));
        assert_eq!(told(Box::new(|| panic!("what a programmer wrote"))), "what a programmer wrote");
        let cut = number.len() - 1;
        let quoted = number.clone();
        assert!(!told(Box::new(move || drop(quoted[..cut].to_owned()))).contains("23125"));
        assert!(!told(Box::new(move || panic_any(number.clone()))).contains("23125"));
    }
}
