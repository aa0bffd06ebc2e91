//! What the switch of the demo does, and what is expected to come back: each step is played over TCP, shown, and then
//! awaited in the stream of events.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::house::House;
use super::screen::{self, Screen};
use crate::cli::admin_client::{AdminClient, Watching};
use crate::cli::events::{ChangeEvent, Event};
use crate::cli::simulate::call::random_call_id;
use crate::cli::simulate::callers;
use crate::cli::simulate::context::Context;
use crate::cli::simulate::link::{Link, Refused};
use crate::cli::words;

/// How long an event may take to be seen. A promise would be far shorter; a demo on a busy machine is patient.
const SEEN_WITHIN: Duration = Duration::from_secs(5);

/// The lifetimes, as a switch writes them.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lifetime {
    Call,
    Session,
    User,
}

impl Lifetime {
    const fn as_str(self) -> &'static str {
        match self {
            Lifetime::Call => "call",
            Lifetime::Session => "session",
            Lifetime::User => "user",
        }
    }
}

/// Who calls.
#[derive(Debug, Clone, Copy)]
pub(super) enum Who {
    /// A simulated caller with a number.
    Caller(u64),
    /// Somebody who withholds the number.
    Withheld,
}

/// A call of the script.
#[derive(Debug, Clone)]
pub(super) struct Call {
    id: String,
    label: String,
}

/// The day as it goes on.
pub(super) struct Day<'a> {
    house: &'a mut House,
    screen: &'a Screen,
    link: Link,
    stream: AdminClient,
    labels: HashMap<String, String>,
    /// What was seen since the current step began.
    seen: Vec<Event>,
    failures: usize,
}

impl<'a> Day<'a> {
    /// Connects to switch port and admin socket.
    pub(super) async fn begin(house: &'a mut House, screen: &'a Screen) -> anyhow::Result<Self> {
        let link = Link::connect(house.switch()).await?;
        let stream = watch(house).await?;
        Ok(Self { house, screen, link, stream, labels: HashMap::new(), seen: Vec::new(), failures: 0 })
    }

    pub(super) const fn screen(&self) -> &'a Screen {
        self.screen
    }

    pub(super) const fn house(&self) -> &House {
        self.house
    }

    /// An error if anything did not come out as expected.
    pub(super) fn outcome(&self) -> anyhow::Result<()> {
        match self.failures {
            0 => Ok(()),
            failures => bail!("{failures} of the things shown did not come out as expected (marked ✗)"),
        }
    }

    /// Says what came out, and remembers what did not.
    pub(super) fn check(&mut self, came_out: bool, text: &str) -> anyhow::Result<()> {
        self.failures += usize::from(!came_out);
        self.screen.check(came_out, text)
    }

    /// A call starts.
    pub(super) async fn start(&mut self, who: Who) -> anyhow::Result<(Call, Context)> {
        let call = Call { id: random_call_id()?, label: format!("call {}", self.labels.len() + 1) };
        self.labels.insert(call.id.clone(), call.label.clone());
        let mut params = json!({ "call_id": call.id, "to": callers::sip_uri(callers::CALLED) });
        let told = match who {
            Who::Caller(caller) => {
                let number = callers::number(caller);
                add(&mut params, "from", callers::sip_uri(&number));
                callers::masked(&number)
            }
            Who::Withheld => {
                add(&mut params, "from", "\"Anonymous\" <sip:anonymous@anonymous.invalid>");
                add(&mut params, "privacy", "id");
                "a withheld number".to_owned()
            }
        };
        let (answer, took) = self.ask("call.start", &format!("{} from {told}", call.label), &params).await?;
        let context = self.context(answer, took)?;
        self.await_call(&call, "started").await?;
        Ok((call, context))
    }

    /// The call is answered.
    pub(super) async fn answer(&mut self, call: &Call) -> anyhow::Result<()> {
        let (answer, took) = self.ask("call.answer", &call.label, &json!({ "call_id": call.id })).await?;
        self.accepted(answer, took)?;
        self.await_call(call, "answered").await
    }

    /// The call ends.
    pub(super) async fn end(&mut self, call: &Call) -> anyhow::Result<()> {
        let (answer, took) = self.ask("call.end", &call.label, &json!({ "call_id": call.id })).await?;
        self.accepted(answer, took)?;
        self.await_call(call, "ended").await
    }

    /// Variables are set. The new revision.
    pub(super) async fn set(&mut self, call: &Call, set: &[(&str, Value)], lifetime: Lifetime) -> anyhow::Result<u64> {
        let (answer, took) = self.try_set(call, set, lifetime).await?;
        let result = self.accepted(answer, took)?;
        let revision = result.get("revision").and_then(Value::as_u64).context("the answer has no revision")?;
        self.screen_last_change(revision, set.len()).await?;
        Ok(revision)
    }

    /// Variables are set, and that is refused. The reason.
    pub(super) async fn set_refused(
        &mut self,
        call: &Call,
        set: &[(&str, Value)],
        lifetime: Lifetime,
    ) -> anyhow::Result<Option<String>> {
        match self.try_set(call, set, lifetime).await? {
            (Err(refused), took) => {
                self.screen.refusal(&refused, took)?;
                Ok(Some(refused.reason))
            }
            (Ok(_), took) => {
                self.screen.answers("ok", took)?;
                Ok(None)
            }
        }
    }

    /// The context is asked for.
    pub(super) async fn get(&mut self, call: &Call) -> anyhow::Result<Context> {
        let (answer, took) = self.ask("context.get", &call.label, &json!({ "call_id": call.id })).await?;
        self.context(answer, took)
    }

    /// The daemon is killed and started again; switch and watcher connect anew. How long it took.
    pub(super) async fn kill_and_start(&mut self) -> anyhow::Result<Duration> {
        let begin = Instant::now();
        self.house.kill()?;
        self.house.start().await?;
        let took = begin.elapsed();
        self.link = Link::connect(self.house.switch()).await?;
        self.stream = watch(self.house).await?;
        Ok(took)
    }

    /// Whether a variable went with this cause in the current step.
    pub(super) fn saw_gone(&self, name: &str, cause: &str) -> bool {
        self.changes().any(|change| change.name == name && change.cause == cause)
    }

    /// Shows what happens until the daemon ends.
    pub(super) async fn follow(&mut self) -> anyhow::Result<()> {
        while let Some(line) = self.stream.next().await? {
            self.see(&line)?;
            self.seen.clear();
        }
        Err(self.stream.gone("the daemon ended"))
    }

    async fn ask(
        &mut self,
        method: &'static str,
        told: &str,
        params: &Value,
    ) -> anyhow::Result<(Result<Value, Refused>, Duration)> {
        self.seen.clear();
        self.screen.reports(method, told).await?;
        let begin = Instant::now();
        let answer = self.link.ask(method, params).await?;
        Ok((answer, begin.elapsed()))
    }

    async fn try_set(
        &mut self,
        call: &Call,
        set: &[(&str, Value)],
        lifetime: Lifetime,
    ) -> anyhow::Result<(Result<Value, Refused>, Duration)> {
        let values: serde_json::Map<String, Value> =
            set.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let params = json!({ "call_id": call.id, "set": values, "lifetime": lifetime.as_str() });
        let told = format!("{}: {} ({})", call.label, screen::assignments(set), lifetime.as_str());
        self.ask("variables.set", &told, &params).await
    }

    fn accepted(&self, answer: Result<Value, Refused>, took: Duration) -> anyhow::Result<Value> {
        match answer {
            Ok(result) => {
                let revision = result.get("revision").map(|revision| format!("revision {revision}"));
                self.screen.answers(revision.as_deref().unwrap_or("ok"), took)?;
                Ok(result)
            }
            Err(refused) => {
                self.screen.refusal(&refused, took)?;
                bail!("refused with {}: {}", refused.reason, refused.detail)
            }
        }
    }

    fn context(&self, answer: Result<Value, Refused>, took: Duration) -> anyhow::Result<Context> {
        match answer {
            Ok(result) => {
                let context = serde_json::from_value(result).context("the answer is no context")?;
                self.screen.context(&context, took)?;
                Ok(context)
            }
            Err(refused) => self.accepted(Err(refused), took).and_then(|_| bail!("refused")),
        }
    }

    /// Shows events until this call had this event.
    async fn await_call(&mut self, call: &Call, event: &str) -> anyhow::Result<()> {
        let is_it = |seen: &Event| matches!(seen, Event::Call(seen) if seen.call_id == call.id && seen.event == event);
        self.await_event(&format!("{} {event}", call.label), |seen| seen.iter().any(is_it)).await
    }

    /// Shows events until all changes of this revision were seen.
    async fn screen_last_change(&mut self, revision: u64, changes: usize) -> anyhow::Result<()> {
        let is_it = |seen: &&Event| matches!(seen, Event::Change(seen) if seen.revision == revision);
        self.await_event(&format!("revision {revision}"), |seen| seen.iter().filter(is_it).count() >= changes).await
    }

    async fn await_event(&mut self, what: &str, enough: impl Fn(&[Event]) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + SEEN_WITHIN;
        while !enough(&self.seen) {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = timeout(left, self.stream.next()).await else {
                bail!("the event was not seen: {what}");
            };
            let line = line?.ok_or_else(|| self.stream.gone("the stream of events ended"))?;
            self.see(&line)?;
        }
        Ok(())
    }

    fn see(&mut self, line: &Value) -> anyhow::Result<()> {
        let event = Event::read(line)?;
        let label = |id: &str| self.labels.get(id).cloned().unwrap_or_else(|| words::cut(id, 14));
        self.screen.sees(&event, label)?;
        self.seen.push(event);
        Ok(())
    }

    fn changes(&self) -> impl Iterator<Item = &ChangeEvent> {
        self.seen.iter().filter_map(|event| match event {
            Event::Change(change) => Some(change),
            _ => None,
        })
    }
}

async fn watch(house: &House) -> anyhow::Result<AdminClient> {
    let mut stream = house.admin().await?;
    stream.watch(&Watching { values: true, ..Watching::default() }).await?;
    Ok(stream)
}

fn add(params: &mut Value, name: &str, value: impl Into<Value>) {
    if let Some(params) = params.as_object_mut() {
        params.insert(name.to_owned(), value.into());
    }
}
