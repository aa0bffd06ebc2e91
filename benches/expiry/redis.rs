//! Redis beside it, as a good engineer would keep the same: one hash for the session, one for its variables, which ends
//! with their retention. `appendfsync always`, and a keyspace notification for what ends.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::process::{Process, free_port};

/// Commands that are sent before their replies are read.
const PIPELINE: usize = 1_000;

/// In the year 2096.
const FAR: &str = "4000000000000";

pub struct Redis {
    process: Process,
    address: SocketAddr,
}

impl Redis {
    pub fn start(program: &Path, dir: &Path) -> anyhow::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let mut command = Command::new(program);
        command.args(["--bind", "127.0.0.1", "--port"]).arg(address.port().to_string()).arg("--dir").arg(dir);
        command.args(["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--daemonize", "no"]);
        command.args(["--auto-aof-rewrite-percentage", "0", "--notify-keyspace-events", "Ex"]);
        let mut process = Process::start("redis-server", &mut command, dir)?;
        process.wait_until(|| Ok(TcpStream::connect(address)?))?;
        Ok(Self { process, address })
    }

    pub fn resident(&self) -> anyhow::Result<u64> {
        self.process.resident()
    }

    /// Loads sessions with three variables of `value` each that end one day.
    pub fn load(&self, count: usize, value: &str) -> anyhow::Result<()> {
        self.each(count, 3, |out, caller| {
            // A session ID has 64 digits.
            let (session, variables) = (format!("s:{caller:064x}"), format!("v:{caller:064x}"));
            let contact = "1790000000000";
            command(out, &["HSET", &session, "first", contact, "last", contact, "contacts", "1", "revision", "1"]);
            command(out, &["HSET", &variables, "language", value, "ticket", value, "last_choice", value]);
            command(out, &["PEXPIREAT", &variables, FAR]);
        })
    }

    /// Lets the variables of all sessions end at a time, in milliseconds since the Unix epoch.
    pub fn end(&self, count: usize, at: i64) -> anyhow::Result<()> {
        let at = at.to_string();
        self.each(count, 1, |out, caller| command(out, &["PEXPIREAT", &format!("v:{caller:064x}"), &at]))
    }

    fn each(&self, count: usize, replies_of_each: usize, write: impl Fn(&mut Vec<u8>, usize)) -> anyhow::Result<()> {
        let mut stream = self.connect()?;
        let (mut out, mut owed) = (Vec::new(), 0);
        for caller in 0..count {
            write(&mut out, caller);
            owed += replies_of_each;
            if owed >= PIPELINE || caller + 1 == count {
                stream.write_all(&out)?;
                replies(&mut stream, owed)?;
                out.clear();
                owed = 0;
            }
        }
        Ok(())
    }

    /// Waits until so many keys were announced as expired; how long that took from `since` on.
    pub fn expirations(subscriber: &mut TcpStream, count: usize, since: Instant) -> anyhow::Result<Duration> {
        // *3 $7 message $18 __keyevent@0__:expired $66 v:…
        const MESSAGE: usize = "*3\r\n$7\r\nmessage\r\n$22\r\n__keyevent@0__:expired\r\n$66\r\n".len() + 66 + 2;
        let (mut left, mut chunk) = (count * MESSAGE, vec![0; 1 << 16]);
        while left > 0 {
            let read = subscriber.read(&mut chunk).context("no key expires")?;
            ensure!(read > 0, "redis-server closed the connection");
            left = left.saturating_sub(read);
        }
        Ok(since.elapsed())
    }

    /// A connection that hears of expired keys.
    pub fn subscribe(&self) -> anyhow::Result<TcpStream> {
        let mut stream = self.connect()?;
        let mut out = Vec::new();
        command(&mut out, &["SUBSCRIBE", "__keyevent@0__:expired"]);
        stream.write_all(&out)?;
        let mut answer = [0; 256];
        ensure!(stream.read(&mut answer)? > 0, "redis-server closed the connection");
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        Ok(stream)
    }

    fn connect(&self) -> anyhow::Result<TcpStream> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(stream)
    }
}

/// Reads replies that are integers.
fn replies(stream: &mut TcpStream, mut owed: usize) -> anyhow::Result<()> {
    let mut chunk = [0; 1 << 14];
    while owed > 0 {
        let read = stream.read(&mut chunk).context("no reply")?;
        let read = chunk.get(..read).unwrap_or_default();
        ensure!(!read.is_empty(), "redis-server closed the connection");
        if read.contains(&b'-') {
            bail!("refused: {}", String::from_utf8_lossy(read));
        }
        owed = owed.saturating_sub(read.split(|byte| *byte == b'\n').count() - 1);
    }
    Ok(())
}

fn command(out: &mut Vec<u8>, words: &[&str]) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
}
