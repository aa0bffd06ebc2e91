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
    let wanted = std::env::var("RECALLD_LOG").unwrap_or_else(|_| DEFAULT.to_owned());
    let wrong: Vec<&str> = wanted.split(',').map(str::trim).filter(|word| is_no_level(word)).collect();
    // A word that is no level must not silence the log.
    let filter = filter.parse_lossy(if wrong.is_empty() { wanted.as_str() } else { DEFAULT });
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = if std::env::var("RECALLD_LOG_FORMAT").is_ok_and(|format| format == "json") {
        lines.json().flatten_event(true).try_init()
    } else if goes_to_journal() {
        lines.with_ansi(false).event_format(Journal(tracing_subscriber::fmt::format().without_time())).try_init()
    } else {
        let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
        lines.with_ansi(colours).try_init()
    };
    for word in wrong {
        tracing::warn!(
            word,
            "RECALLD_LOG is not followed: a word of it is no level; say debug, or recalld::store=debug"
        );
    }
    if set.is_ok() {
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            tracing::error!(place, "a fault in recalld: {}", text_of(panic.payload()));
        }));
    }
}

/// Whether a directive names a part without a level, as a level that is spelt wrongly does.
fn is_no_level(directive: &str) -> bool {
    !directive.is_empty()
        && !directive.contains(['=', '[', ':'])
        && directive.parse::<LevelFilter>().is_err()
        && directive != env!("CARGO_PKG_NAME")
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
    use std::process::Command;

    use super::*;

    const NUMBER: &str = "+49 30 23125 042";

    /// Faults as they may come: with a text of the source, with one that quotes a number, with a value of any type, while
    /// a text is cut in the middle of a letter, which the standard library quotes.
    fn faults() -> [Box<dyn FnOnce() + Send + std::panic::UnwindSafe>; 4] {
        [
            Box::new(|| panic!("what a programmer wrote")),
            Box::new(|| panic!("the caller is {}", String::from(NUMBER))),
            Box::new(|| panic_any(NUMBER.to_owned())),
            Box::new(|| {
                let number = format!("{NUMBER}ä");
                drop(number[..number.len() - 1].to_owned());
            }),
        ]
    }

    #[test]
    fn a_panic_is_told_with_its_text_only_if_that_holds_no_data() {
        let told = faults().map(|fault| text_of(&*catch_unwind(fault).expect_err("it panics")));
        let [programmers, others @ ..] = told;
        assert_eq!(programmers, "what a programmer wrote");
        assert!(others.iter().all(|told| !told.contains("23125")), "{others:?}");
    }

    #[test]
    fn a_level_that_is_spelt_wrongly_is_noticed() {
        assert!(["debgu", "banana"].into_iter().all(is_no_level));
        let good = ["", "debug", "WARN", "off", "recalld", "recalld::store", "recalld::store=debug", "[span]=info"];
        assert!(!good.into_iter().any(is_no_level));
    }

    /// Runs only as a process of its own: the log and what is done at a panic belong to a whole process.
    #[test]
    fn of_panics_in_a_process_with_the_daemons_log_only_places_are_told() {
        const CHILD: &str = "RECALLD_TEST_PANICS";
        if std::env::var_os(CHILD).is_some() {
            set_up();
            for fault in faults() {
                assert!(std::thread::spawn(fault).join().is_err());
            }
            return;
        }
        let this = "daemon::logging::tests::of_panics_in_a_process_with_the_daemons_log_only_places_are_told";
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program);
        child.args([this, "--exact", "--nocapture"]).env(CHILD, "1").env("RECALLD_LOG", "trace");
        let output = child.output().expect("it runs");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{said}");
        assert_eq!(said.matches("a fault in recalld").count(), 4, "{said}");
        assert!(said.contains("what a programmer wrote") && said.contains("logging.rs"), "{said}");
        assert!(!said.contains("23125"), "{said}");
    }
}
