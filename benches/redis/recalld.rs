//! recalld's side: `recalld serve` with a configuration of its own, spoken to as a switch does, in netstrings.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use crate::digits;
use crate::load::{Protocol, Reply, Request};
use crate::process::{Process, free_port};
use crate::work::{RELEASES, Step};

/// Starts the daemon with its data in `dir`. Everything that is not said here is the default. Gives where a switch
/// connects, and where the metrics are.
pub fn start(program: &Path, dir: &Path, arbiters: Option<usize>) -> anyhow::Result<(Process, SocketAddr, SocketAddr)> {
    let key = dir.join("root.key");
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&key)?.write_all(&[0x2a; 32])?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
    let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
    let config = dir.join("recalld.toml");
    fs::write(&config, configuration(dir, address, admin, arbiters)?)?;
    let mut process = Process::start("recalld", Command::new(program).arg("serve").arg("--config").arg(&config), dir)?;
    process.wait_until(|| ping(address))?;
    Ok((process, address, admin))
}

fn configuration(
    dir: &Path,
    address: SocketAddr,
    admin: SocketAddr,
    arbiters: Option<usize>,
) -> anyhow::Result<String> {
    let place = |name: &str| toml::Value::from(dir.join(name).to_string_lossy().into_owned());
    let arbiters = arbiters.map(|number| format!("[limits]\narbiters = {number}\n")).unwrap_or_default();
    let releases: Vec<String> = (0..RELEASES)
        .map(|number| format!("[[tenant.release]]\ninstance_id = \"app-{number}\"\ngeneration = \"phone2\"\n"))
        .collect();
    Ok(format!(
        "[data]\npath = {}\n[keys]\nroot = {}\n[api]\nlisten = \"127.0.0.1:{}\"\n\
         [admin]\nlisten = \"{admin}\"\nsocket = {}\n{arbiters}\
         [[tenant]]\nid = \"acme\"\n{}\
         [[switch]]\nname = \"edge-1\"\nprotocol = \"jsonrpc\"\nlisten = \"{address}\"\ntenant = \"acme\"\nregion = \"DE\"\n",
        place("data"),
        place("root.key"),
        free_port()?,
        place("recalld.sock"),
        releases.concat(),
    ))
}

/// Bytes of RocksDB's write buffers. They grow with what is written, up to a bound, and not with the calls that are up.
pub fn write_buffers(admin: SocketAddr) -> anyhow::Result<u64> {
    let metrics = ureq::get(format!("http://{admin}/metrics")).call()?.body_mut().read_to_string()?;
    let line = metrics.lines().find_map(|line| line.strip_prefix("recalld_database_write_buffer_bytes "));
    Ok(line.context("the metrics tell the write buffers")?.trim().parse()?)
}

fn ping(address: SocketAddr) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"40:{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"},")?;
    let mut answer = [0; 64];
    let length = stream.read(&mut answer)?;
    let answer = String::from_utf8_lossy(answer.get(..length).unwrap_or_default());
    ensure!(answer.contains("\"pong\":true"), "`ping` was answered {answer}");
    Ok(())
}

/// JSON-RPC in netstrings; the id of a request is its lane.
#[derive(Default)]
pub struct Netstrings {
    body: Vec<u8>,
}

const REQUEST: &[u8] = b"{\"jsonrpc\":\"2.0\",\"id\":";
const REPLY: &[u8] = b"{\"jsonrpc\":\"2.0\",\"id\":";
const RESULT: &[u8] = b",\"result\":";

impl Protocol for Netstrings {
    fn encode(&mut self, out: &mut Vec<u8>, request: &Request<'_>) {
        let body = &mut self.body;
        body.clear();
        body.extend_from_slice(REQUEST);
        digits::write(body, request.lane);
        let method = match request.step {
            Step::Start => "call.start",
            Step::Set(..) => "variables.set",
            Step::Ringing => "call.ringing",
            Step::Answer => "call.answer",
            Step::End => "call.end",
            Step::Get => "context.get",
        };
        append(body, &[",\"method\":\"", method, "\",\"params\":{\"call_id\":\"", request.call_id]);
        match request.step {
            Step::Start => append(
                body,
                &[
                    "\",\"from\":\"sip:",
                    &request.caller.number,
                    "@trunk.example.net\",\"to\":\"sip:+493023125000@pbx.example.com\",\"instance_id\":\"",
                    &request.caller.instance,
                    "\"}}",
                ],
            ),
            Step::Set(name, value) => append(body, &["\",\"set\":{\"", name, "\":", value, "}}}"]),
            Step::Ringing => append(body, &["\",\"code\":180}}"]),
            Step::End => append(body, &["\",\"cause\":\"bye\"}}"]),
            Step::Answer | Step::Get => append(body, &["\"}}"]),
        }
        digits::write(out, body.len());
        out.push(b':');
        out.extend_from_slice(body);
        out.push(b',');
    }

    fn decode(&mut self, bytes: &[u8]) -> anyhow::Result<Option<Reply>> {
        let Some((length, digits)) = digits::read(bytes) else { return Ok(None) };
        ensure!(bytes.get(digits) == Some(&b':'), "not a netstring: {}", String::from_utf8_lossy(bytes));
        let begin = digits + 1;
        // The comma behind it, too.
        let Some(reply) = bytes.get(begin..=begin + length) else { return Ok(None) };
        let (lane, rest) = reply
            .strip_prefix(REPLY)
            .and_then(|rest| digits::read(rest).map(|(lane, digits)| (lane, rest.get(digits..).unwrap_or_default())))
            .with_context(|| format!("not a reply: {}", String::from_utf8_lossy(reply)))?;
        let again = !rest.starts_with(RESULT);
        if again {
            let text = String::from_utf8_lossy(rest);
            if !["\"late\"", "\"overloaded\""].iter().any(|word| text.contains(word)) {
                bail!("recalld refused: {text}");
            }
        }
        Ok(Some(Reply { length: begin + length + 1, lane, again }))
    }
}

fn append(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}
