//! `recalld retention confirm`: what waits for an operator because it would delete much.

use serde::Deserialize;
use serde_json::json;

use crate::cli::admin_client::Where;
use crate::cli::{block_on, out, words};

/// Arguments of `retention confirm`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    daemon: Where,
    /// What is confirmed; may be left out when only one of them waits.
    #[arg(value_enum)]
    what: Option<What>,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum What {
    /// The system clock, which has jumped forward.
    Clock,
    /// A shorter retention that would end more than 1,000 sessions at once.
    Retention,
}

#[derive(Deserialize)]
struct Confirmed {
    clock_ahead_seconds: Option<u64>,
    retention: Vec<Changed>,
}

#[derive(Deserialize)]
struct Changed {
    tenant: String,
    instance_id: String,
    in_force: Kept,
    wanted: Kept,
}

#[derive(Deserialize)]
struct Kept {
    session_retention: String,
    user_idle_limit: Option<String>,
    anonymous_sessions: String,
}

/// Asks and prints.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let what = arguments.what.map(|what| match what {
        What::Clock => "clock",
        What::Retention => "retention",
    });
    let request = json!({ "op": "retention_confirm", "what": what });
    let answer = block_on(async { arguments.daemon.connect().await?.ask(&request).await })?;
    if arguments.json {
        return out::json(&answer);
    }
    let confirmed: Confirmed = serde_json::from_value(answer)?;
    if let Some(seconds) = confirmed.clock_ahead_seconds {
        let seconds = words::count(seconds);
        out::line(format!("the system clock is believed, which had jumped forward by {seconds} s"))?;
    }
    for Changed { tenant, instance_id, in_force, wanted } in &confirmed.retention {
        out::line(format!("{instance_id} of {tenant}: {}, instead of {}", wanted.told(), in_force.told()))?;
    }
    if !confirmed.retention.is_empty() {
        out::line("what has ended is not shown any more; it is removed by and by, see `recalld status`")?;
    }
    Ok(())
}

impl Kept {
    fn told(&self) -> String {
        let limit = self.user_idle_limit.as_deref().unwrap_or("none");
        let Self { session_retention, anonymous_sessions, .. } = self;
        format!(
            "session_retention {session_retention}, user_idle_limit {limit}, anonymous_sessions {anonymous_sessions}"
        )
    }
}
