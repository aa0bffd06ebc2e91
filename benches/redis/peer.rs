//! Redis' side: the same work as a good engineer would have it done, in the fewest round trips.
//!
//! | key | what | ends |
//! |---|---|---|
//! | `s:<instance>:<number>` | hash: first and last contact, revision, number of active calls | never |
//! | `v:<instance>:<number>` | hash: the `session` variables | with their retention (`EXPIRE`), at the start of a new call |
//! | `c:<call ID>` | hash: session, state, from, to, time | with the call, or at the age at which a call is reaped (`EXPIRE`) |
//!
//! Each event is one script, called by its digest: one round trip, all or nothing, and refused for a call that is not up.
//! (`HSET`, `EXPIRE` and `HINCRBY` pipelined cost Redis about an eighth less, and set variables of calls that do not
//! exist.) The switch is taken to know the session's keys, so that no script has to look them up; numbers are neither
//! parsed nor hidden, variables have one lifetime, and the append-only file is never rewritten while it is measured:
//! all of that is to the favour of Redis. Both sides sync before they answer (`appendfsync always`).

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use crate::digits;
use crate::load::{Protocol, Reply, Request};
use crate::process::{Process, free_port};
use crate::work::Step;

const RETENTION: &str = "2592000";
const MAX_CALL_AGE: &str = "43200";
const SCRIPTS: [&str; 4] = [
    include_str!("scripts/start.lua"),
    include_str!("scripts/set.lua"),
    include_str!("scripts/state.lua"),
    include_str!("scripts/end.lua"),
];

/// The SHA-1 digests by which the scripts are called.
pub struct Digests {
    start: String,
    set: String,
    state: String,
    end: String,
}

/// Starts the server with its data in `dir` and loads the scripts.
pub fn start(program: &Path, dir: &Path) -> anyhow::Result<(Process, SocketAddr, Arc<Digests>)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
    let mut command = Command::new(program);
    command.args(["--bind", "127.0.0.1", "--port"]).arg(address.port().to_string()).arg("--dir").arg(dir);
    command.args(["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--daemonize", "no"]);
    command.args(["--auto-aof-rewrite-percentage", "0"]);
    let mut process = Process::start("redis-server", &mut command, dir)?;
    let digests = process.wait_until(|| load_scripts(address))?;
    Ok((process, address, Arc::new(digests)))
}

fn load_scripts(address: SocketAddr) -> anyhow::Result<Digests> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut load = |script: &str| -> anyhow::Result<String> {
        let mut out = Vec::new();
        command(&mut out, &["SCRIPT", "LOAD", script]);
        stream.write_all(&out)?;
        let mut answer = [0; 256];
        let length = stream.read(&mut answer)?;
        let answer = String::from_utf8_lossy(answer.get(..length).unwrap_or_default()).into_owned();
        let digest = answer.strip_prefix("$40\r\n").and_then(|digest| digest.strip_suffix("\r\n"));
        digest.map(str::to_owned).with_context(|| format!("`SCRIPT LOAD` was answered {answer}"))
    };
    let [start, set, state, end] = SCRIPTS.map(&mut load);
    Ok(Digests { start: start?, set: set?, state: state?, end: end? })
}

/// RESP 2. Replies come in the order of the requests.
pub struct Resp {
    digests: Arc<Digests>,
    waiting: VecDeque<usize>,
    session: String,
    keys: [String; 3],
}

impl Resp {
    pub fn new(digests: Arc<Digests>) -> Self {
        Self { digests, waiting: VecDeque::new(), session: String::new(), keys: Default::default() }
    }
}

impl Protocol for Resp {
    fn encode(&mut self, out: &mut Vec<u8>, request: &Request<'_>) {
        self.waiting.push_back(request.lane);
        let caller = request.caller;
        join(&mut self.session, &[&caller.instance, ":", &caller.number]);
        let [session, variables, call] = &mut self.keys;
        join(session, &["s:", &self.session]);
        join(variables, &["v:", &self.session]);
        join(call, &["c:", request.call_id]);
        let digests = &*self.digests;
        match request.step {
            Step::Start => {
                // The time costs the same whatever it is.
                let (to, now) = ("+493023125000", "1790000000000");
                let keys = ["EVALSHA", &digests.start, "3", session, variables, call];
                command(out, &[&keys[..], &[&self.session, &caller.number, to, now, MAX_CALL_AGE]].concat());
            }
            Step::Set(name, value) => {
                command(out, &["EVALSHA", &digests.set, "3", session, variables, call, name, value, RETENTION]);
            }
            Step::Ringing => {
                command(out, &["EVALSHA", &digests.state, "1", call, "ringing", "started", "started"]);
            }
            Step::Answer => {
                command(out, &["EVALSHA", &digests.state, "1", call, "answered", "started", "ringing"]);
            }
            Step::End => command(out, &["EVALSHA", &digests.end, "3", session, variables, call, RETENTION]),
            Step::Get => command(out, &["HGETALL", variables]),
        }
    }

    fn decode(&mut self, bytes: &[u8]) -> anyhow::Result<Option<Reply>> {
        let Some(length) = end_of_reply(bytes, 0)? else { return Ok(None) };
        let lane = self.waiting.pop_front().context("a reply that nobody asked for")?;
        Ok(Some(Reply { length, lane, again: false }))
    }
}

/// Where the reply that begins at `from` ends, if all of it is there.
fn end_of_reply(bytes: &[u8], from: usize) -> anyhow::Result<Option<usize>> {
    let Some(line) = bytes.get(from..) else { return Ok(None) };
    let Some(length) = line.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
    let end = from + length + 1;
    let number = || match line.get(1..).and_then(digits::read) {
        // `$-1` and `*-1` have nothing behind them.
        Some((_, 0)) | None => None,
        Some((number, _)) => Some(number),
    };
    match line.first() {
        Some(b'+' | b':') => Ok(Some(end)),
        Some(b'$') => {
            let end = number().map_or(end, |length| end + length + 2);
            Ok((end <= bytes.len()).then_some(end))
        }
        Some(b'*') => {
            let mut end = end;
            for _ in 0..number().unwrap_or(0) {
                match end_of_reply(bytes, end)? {
                    Some(next) => end = next,
                    None => return Ok(None),
                }
            }
            Ok(Some(end))
        }
        _ => bail!("Redis refused: {}", String::from_utf8_lossy(line.get(..length).unwrap_or_default())),
    }
}

fn join(out: &mut String, parts: &[&str]) {
    out.clear();
    for part in parts {
        out.push_str(part);
    }
}

fn command(out: &mut Vec<u8>, arguments: &[&str]) {
    out.push(b'*');
    digits::write(out, arguments.len());
    for argument in arguments {
        out.extend_from_slice(b"\r\n$");
        digits::write(out, argument.len());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(argument.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

/// What must hold for a comparison that means something.
pub fn check_program(program: &Path) -> anyhow::Result<()> {
    let output = Command::new(program).arg("--version").output();
    let output = output.with_context(|| {
        format!("{} is missing: install the package redis-server (apt-get install redis-server)", program.display())
    })?;
    ensure!(output.status.success(), "{} --version failed", program.display());
    Ok(())
}
