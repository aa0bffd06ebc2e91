//! The script: a short day of calls, and what each scene has to show.

use serde_json::{Value, json};

use super::day::{Call, Day, Lifetime, Who};
use crate::cli::simulate::callers;
use crate::cli::simulate::context::Context;
use crate::cli::words;

/// The caller whose day it is.
const ANNA: u64 = callers::FIRST;

/// All scenes.
pub(super) async fn play(day: &mut Day<'_>) -> anyhow::Result<()> {
    let session = first_call(day).await?;
    let call = returning_caller(day, &session).await?;
    parallel_calls(day, &session, &call).await?;
    withheld_caller(day).await?;
    power_failure(day, &session).await?;
    where_is_the_number(day)
}

async fn first_call(day: &mut Day<'_>) -> anyhow::Result<String> {
    scene(
        day,
        "1  Anna calls for the first time",
        "recalld turns her number into a session ID: a keyed one-way value, the same at each of her calls. Nobody has \
         called with it before, so there is nothing to remember yet.",
    )
    .await?;
    let (call, context) = day.start(Who::Caller(ANNA)).await?;
    day.check(!context.returning && context.variables.is_empty(), "a new caller, without a past")?;
    day.answer(&call).await?;
    day.screen().meanwhile(
        "While they talk, the voice app notes three things, each with its lifetime: her language for good (user), the \
         ticket for this conversation (session), the place in the menu for this call only (call).",
    ).await?;
    day.set(&call, &[("language", json!("de"))], Lifetime::User).await?;
    day.set(&call, &[("ticket", json!({ "id": 4711 }))], Lifetime::Session).await?;
    day.set(&call, &[("step", json!("menu"))], Lifetime::Call).await?;
    day.screen().meanwhile("She hangs up.").await?;
    day.end(&call).await?;
    let step_went = day.saw_gone("step", "call_ended");
    day.check(step_went, "what belonged to the call went with it")?;
    Ok(context.session_id)
}

async fn returning_caller(day: &mut Day<'_>, session: &str) -> anyhow::Result<Call> {
    scene(
        day,
        "2  Anna calls again",
        "The switch asks before it routes the call, and knows at once who is there. A new conversation begins, so the \
         ticket of the last one goes; her language stays.",
    )
    .await?;
    let (call, context) = day.start(Who::Caller(ANNA)).await?;
    let ticket_went = day.saw_gone("ticket", "new_call") && !context.variables.contains_key("ticket");
    day.check(context.returning && context.session_id == session, "recognised: the same session as in her first call")?;
    day.check(has(&context, "language", &json!("de")), "her language is remembered")?;
    day.check(ticket_went, "the ticket of the last conversation is gone")?;
    day.answer(&call).await?;
    Ok(call)
}

async fn parallel_calls(day: &mut Day<'_>, session: &str, first: &Call) -> anyhow::Result<()> {
    scene(
        day,
        "3  A second call from the same number, while the first one is up",
        "Anna is still talking when somebody rings from the same line. Both calls share one session and its variables; \
         nothing is wiped under the call that is being spoken. Only `call` variables stay apart.",
    )
    .await?;
    day.set(first, &[("ticket", json!({ "id": 4712 }))], Lifetime::Session).await?;
    day.set(first, &[("step", json!("payment"))], Lifetime::Call).await?;
    let (second, context) = day.start(Who::Caller(ANNA)).await?;
    day.check(context.session_id == session && context.active_calls == 2, "one session, two active calls")?;
    let shared = has(&context, "ticket", &json!({ "id": 4712 })) && !context.variables.contains_key("step");
    day.check(shared, "the second call sees the ticket of the first, not its place in the menu")?;
    let revision = day.set(&second, &[("language", json!("fr"))], Lifetime::User).await?;
    let context = day.get(first).await?;
    let seen = has(&context, "language", &json!("fr")) && has(&context, "step", &json!("payment"));
    day.check(seen && context.revision == revision, "what the second call set is there for the first at once")?;
    day.end(&second).await?;
    day.end(first).await
}

async fn withheld_caller(day: &mut Day<'_>) -> anyhow::Result<()> {
    scene(
        day,
        "4  A caller who withholds the number",
        "Nobody is recognised against their will: the session ID is random, joins no other call, and nothing can be \
         noted for good.",
    )
    .await?;
    let (call, context) = day.start(Who::Withheld).await?;
    let unknown = context.anonymous && !context.returning && context.session_id.starts_with("anon-");
    day.check(unknown, "a random session that joins nothing")?;
    let reason = day.set_refused(&call, &[("language", json!("en"))], Lifetime::User).await?;
    day.check(reason.as_deref() == Some("user_lifetime_unavailable"), "a `user` variable is refused")?;
    day.set(&call, &[("topic", json!("invoice"))], Lifetime::Session).await?;
    day.end(&call).await
}

async fn power_failure(day: &mut Day<'_>, session: &str) -> anyhow::Result<()> {
    scene(
        day,
        "5  The power fails in the middle of a call",
        "Anna is on the phone when the daemon is killed (kill -9) and started again. Whatever was answered was on the \
         disk before, so the call goes on as if nothing had been.",
    )
    .await?;
    let (call, _) = day.start(Who::Caller(ANNA)).await?;
    let revision =
        day.set(&call, &[("ticket", json!({ "id": 4713 })), ("mood", json!("calm"))], Lifetime::Session).await?;
    let process = day.house().process();
    let took = day.kill_and_start().await?;
    let text = format!("kill -9 {process}, and a new daemon was ready after {} ms.", took.as_millis());
    day.screen().meanwhile(&text).await?;
    let context = day.get(&call).await?;
    let kept = context.session_id == session
        && context.active_calls == 1
        && context.revision == revision
        && has(&context, "language", &json!("fr"))
        && has(&context, "ticket", &json!({ "id": 4713 }))
        && has(&context, "mood", &json!("calm"));
    day.check(kept, "the call, its session, its variables and the revision are there again")?;
    day.end(&call).await
}

fn where_is_the_number(day: &mut Day<'_>) -> anyhow::Result<()> {
    day.screen().heading("And Anna's number?")?;
    // Without the country code, it would be found in any way of writing it in one piece.
    let number = callers::number(ANNA);
    let found = day.house().search(number.trim_start_matches("+49"))?;
    day.screen().tell(&format!(
        "{} files with {} were searched: everything the daemon has written, its log included.",
        found.files,
        words::bytes(found.bytes)
    ))?;
    day.check(found.hits == 0 && found.files > 1, "her number is in none of them")
}

async fn scene(day: &Day<'_>, title: &str, text: &str) -> anyhow::Result<()> {
    day.screen().rest().await;
    day.screen().heading(title)?;
    day.screen().tell(text)
}

fn has(context: &Context, name: &str, value: &Value) -> bool {
    context.variables.get(name) == Some(value)
}
