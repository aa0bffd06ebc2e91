//! `recalld simulate call`: one call from its start to its end, told step by step.

use std::time::{Duration, Instant};

use clap::ValueEnum;
use data_encoding::HEXLOWER;
use rand::TryRng;
use rand::rngs::SysRng;
use serde_json::{Map, Value, json};

use super::context::Context;
use super::link::{Link, Refused};
use super::{Target, callers};
use crate::cli::paint::Paint;
use crate::cli::stdin::NumberSource;
use crate::cli::{events, exit, interrupted, out, tables, words};
use crate::domain::caller::DtmfDigit;
use crate::domain::duration;
use crate::domain::ids::VariableName;

/// Arguments of `simulate call`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// Who calls: one of 99 callers with reserved example numbers.
    #[arg(long, value_name = "1..99", default_value_t = callers::FIRST,
          value_parser = clap::value_parser!(u64).range(callers::FIRST..=callers::LAST))]
    caller: u64,
    /// `-`: read the caller's number from standard input instead, one line.
    #[arg(long, value_name = "-", value_parser = NumberSource::parse, conflicts_with = "caller")]
    from: Option<NumberSource>,
    /// `-`: read the called number from standard input, the line after the caller's; without it an example number.
    #[arg(long, value_name = "-", value_parser = NumberSource::parse)]
    to: Option<NumberSource>,
    /// The caller withholds the number.
    #[arg(long)]
    withheld: bool,
    /// The switch knows the caller by this ID.
    #[arg(long, value_name = "ID")]
    user_id: Option<String>,
    /// The Call-ID; without it a random one.
    #[arg(long, value_name = "ID")]
    call_id: Option<String>,
    /// Set a variable; may be repeated. A value that is no JSON is taken as a string.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = variable)]
    set: Vec<(String, Value)>,
    /// How long the variables live; without it as they do already, else `session`.
    #[arg(long, requires = "set")]
    lifetime: Option<Lifetime>,
    /// Delete a variable; may be repeated.
    #[arg(long, value_name = "NAME", value_parser = name)]
    delete: Vec<String>,
    /// Keys that are pressed during the call.
    #[arg(long, value_name = "KEYS", value_parser = keys)]
    dtmf: Option<String>,
    /// How long the call is up.
    #[arg(long = "for", value_name = "DURATION", default_value = "0ms", value_parser = duration::parse)]
    hold: Duration,
    /// Print every answer as one line of JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Lifetime {
    /// Until the call ends.
    Call,
    /// Until a new call begins, or after the retention.
    Session,
    /// Until it is deleted.
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

/// Plays the call. Fails if anything of it is refused, after having ended it.
pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let start = arguments.start()?;
    let call_id = start.get("call_id").cloned().unwrap_or_default();
    let link = Link::connect(arguments.target.switch).await?;
    let mut call = Call { link, arguments, paint: Paint::for_stdout(), refusals: 0 };
    if call.step("call.start", start, String::new()).await? {
        tokio::select! {
            result = call.talk(&call_id) => result?,
            () = interrupted() => {}
        }
        call.step("call.end", json!({ "call_id": call_id }), String::new()).await?;
    }
    if call.refusals == 0 { Ok(()) } else { Err(exit::silently(exit::FAILED)) }
}

impl Arguments {
    fn start(&self) -> anyhow::Result<Value> {
        let from = match self.from {
            Some(source) => source.read()?.to_string(),
            None => callers::number(self.caller),
        };
        let to = match self.to {
            Some(source) => source.read()?.to_string(),
            None => callers::CALLED.to_owned(),
        };
        let call_id = match &self.call_id {
            Some(call_id) => call_id.clone(),
            None => random_call_id()?,
        };
        if !self.json {
            let who = match (&self.user_id, self.withheld) {
                (Some(_), _) => "a caller known by a user ID".to_owned(),
                (None, true) => "a withheld caller".to_owned(),
                (None, false) => callers::masked(&from),
            };
            out::line(format!("call {} from {who} to {}", words::printable(&call_id), callers::masked(&to)))?;
        }
        let mut start = json!({ "call_id": call_id, "from": callers::sip_uri(&from), "to": callers::sip_uri(&to) });
        if let Some(start) = start.as_object_mut() {
            let mut add = |name: &str, value: &str| drop(start.insert(name.to_owned(), value.into()));
            if self.withheld {
                // What a switch reports for a caller who asked for privacy (RFC 3323).
                add("from", "\"Anonymous\" <sip:anonymous@anonymous.invalid>");
                add("privacy", "id");
            }
            if let Some(user_id) = &self.user_id {
                add("user_id", user_id);
            }
            if let Some(instance) = &self.target.instance {
                add("instance_id", instance);
            }
        }
        Ok(start)
    }
}

struct Call<'a> {
    link: Link,
    arguments: &'a Arguments,
    paint: Paint,
    refusals: u32,
}

impl Call<'_> {
    async fn talk(&mut self, call_id: &Value) -> anyhow::Result<()> {
        self.step("call.ringing", json!({ "call_id": call_id, "code": 180 }), String::new()).await?;
        self.step("call.answer", json!({ "call_id": call_id }), String::new()).await?;
        if !self.arguments.set.is_empty() {
            let told = self.arguments.set.iter();
            let told = told.map(|(name, value)| format!("{} = {}", words::printable(name), events::value(value)));
            let told = told.collect::<Vec<_>>().join(", ");
            let set: Map<String, Value> = self.arguments.set.iter().cloned().collect();
            let mut params = json!({ "call_id": call_id, "set": set });
            if let (Some(lifetime), Some(params)) = (self.arguments.lifetime, params.as_object_mut()) {
                params.insert("lifetime".to_owned(), lifetime.as_str().into());
            }
            self.step("variables.set", params, told).await?;
        }
        if !self.arguments.delete.is_empty() {
            let params = json!({ "call_id": call_id, "names": self.arguments.delete });
            self.step("variables.delete", params, self.arguments.delete.join(", ")).await?;
        }
        for digit in self.arguments.dtmf.iter().flat_map(|keys| keys.chars()) {
            let params = json!({ "call_id": call_id, "digit": digit, "duration_ms": 100 });
            self.step("call.dtmf", params, String::new()).await?;
        }
        if !self.arguments.hold.is_zero() {
            let told = format!("the call is up for {}; Ctrl-C hangs up", duration::format(self.arguments.hold));
            if self.arguments.json {
                out::waiting(&told);
            } else {
                out::line(self.paint.dim(&format!("  {told}")))?;
            }
            tokio::time::sleep(self.arguments.hold).await;
        }
        Ok(())
    }

    /// One request and its answer, both printed. Whether it was accepted.
    async fn step(&mut self, method: &'static str, params: Value, told: String) -> anyhow::Result<bool> {
        let begin = Instant::now();
        let answer = self.link.ask(method, &params).await?;
        let took = begin.elapsed();
        let accepted = answer.is_ok();
        self.refusals += u32::from(!accepted);
        if self.arguments.json {
            out::json(&match answer {
                Ok(result) => json!({ "method": method, "result": result }),
                Err(Refused { reason, detail }) => {
                    json!({ "method": method, "error": { "reason": reason, "detail": detail } })
                }
            })?;
        } else {
            self.tell(method, &told, answer, took)?;
        }
        Ok(accepted)
    }

    fn tell(&self, method: &str, told: &str, answer: Result<Value, Refused>, took: Duration) -> anyhow::Result<()> {
        let paint = self.paint;
        let took = paint.dim(&format!("{:.1} ms", took.as_secs_f64() * 1e3));
        let line = |outcome: &str| format!("{} {:<16} {outcome}  {took}", paint.cyan("▸"), method);
        match answer {
            Err(Refused { reason, detail }) => {
                out::line(line(&format!("{} {}", paint.red(&words::printable(&reason)), words::printable(&detail))))
            }
            Ok(result) => match serde_json::from_value::<Context>(result.clone()) {
                Ok(context) => {
                    out::line(line(&paint.green("ok")))?;
                    let fields = tables::fields(&context.fields(paint));
                    out::line(fields.lines().map(|line| format!("   {line}")).collect::<Vec<_>>().join("\n"))
                }
                Err(_) => {
                    let revision = result.get("revision").map(|revision| format!(" revision {revision}"));
                    let told = if told.is_empty() { String::new() } else { format!("{told}  ") };
                    out::line(line(&format!("{told}{}{}", paint.green("ok"), revision.unwrap_or_default())))
                }
            },
        }
    }
}

/// A Call-ID like those of switches.
pub(in crate::cli) fn random_call_id() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 8];
    SysRng.try_fill_bytes(&mut bytes)?;
    Ok(format!("{}@switch.example", HEXLOWER.encode(&bytes)))
}

fn variable(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((self::name(name)?, value))
}

fn name(text: &str) -> Result<String, String> {
    text.parse::<VariableName>().map(|name| name.as_str().to_owned()).map_err(|refusal| refusal.to_string())
}

fn keys(text: &str) -> Result<String, &'static str> {
    if text.chars().all(|key| DtmfDigit::new(key).is_some()) {
        Ok(text.to_owned())
    } else {
        Err("the keys of a phone are 0-9 A-D * #")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_json_where_it_can_be_and_a_string_otherwise() {
        assert_eq!(variable("language=de"), Ok(("language".to_owned(), json!("de"))));
        assert_eq!(variable("ticket={\"id\":4711}"), Ok(("ticket".to_owned(), json!({ "id": 4711 }))));
        assert_eq!(variable("sum=a=b"), Ok(("sum".to_owned(), json!("a=b"))));
        assert!(variable("language").is_err() && variable("a b=1").is_err());
    }
}
