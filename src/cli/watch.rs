//! `recalld watch`: calls and changes as they happen.

use super::admin_client::{AdminClient, Watching, Where};
use super::events::Event;
use super::paint::Paint;
use super::{block_on, interrupted, out, words};

/// Arguments of `watch`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    daemon: Where,
    /// Only the calls of this tenant.
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// Only the calls of this release.
    #[arg(long, value_name = "INSTANCE_ID")]
    instance: Option<String>,
    /// Show the values of variables, too.
    #[arg(long)]
    values: bool,
    /// Show whole IDs.
    #[arg(long)]
    full: bool,
    /// Print every event as one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Prints events until it is interrupted.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    block_on(async {
        let mut daemon = arguments.daemon.connect().await?;
        let wanted = Watching {
            tenant: arguments.tenant.as_deref(),
            instance: arguments.instance.as_deref(),
            values: arguments.values,
        };
        let synced = daemon.watch(&wanted).await?;
        out::waiting(&arguments.waits_for());
        if arguments.json {
            out::json(&synced)?;
        }
        tokio::select! {
            result = follow(&mut daemon, arguments) => result,
            () = interrupted() => Ok(()),
        }
    })
}

impl Arguments {
    fn waits_for(&self) -> String {
        let whose = match (&self.instance, &self.tenant) {
            (Some(instance), Some(tenant)) => format!("the release {instance} of {tenant}"),
            (Some(instance), None) => format!("the release {instance}"),
            (None, Some(tenant)) => format!("all releases of {tenant}"),
            (None, None) => "all releases".to_owned(),
        };
        format!("waiting for calls and changes of {}; Ctrl-C ends it", words::printable(&whose))
    }
}

async fn follow(daemon: &mut AdminClient, arguments: &Arguments) -> anyhow::Result<()> {
    let paint = Paint::for_stdout();
    while let Some(event) = daemon.next().await? {
        if arguments.json {
            out::json(&event)?;
        } else {
            out::line(told(&Event::read(&event)?, paint, arguments.full))?;
        }
    }
    Err(daemon.gone("the daemon closed the connection"))
}

/// One event in one line: when, where, what.
fn told(event: &Event, paint: Paint, full: bool) -> String {
    let id = |id: &str| if full { words::printable(id) } else { words::short(id) };
    let line = |at: &str, release: &str, session: &str, kind: String, what: String| {
        let at = paint.dim(&words::time_of_day(at));
        format!("{at}  {:<14} {}  {kind} {what}", words::cut(release, 14), paint.cyan(&format!("{:<13}", id(session))))
    };
    match event {
        Event::Call(call) => {
            let what = format!("{}  {}", call.told(paint), paint.dim(&id(&call.call_id)));
            line(&call.at, &call.instance_id, &call.session_id, "call  ".to_owned(), what)
        }
        Event::Change(change) => {
            let what = format!("{}  {}", change.told(paint), paint.dim(&format!("revision {}", change.revision)));
            line(&change.at, &change.instance_id, &change.session_id, "change".to_owned(), what)
        }
        Event::Other(kind) => paint.yellow(&words::printable(kind)),
    }
}
