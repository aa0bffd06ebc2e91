//! A daemon, a Kamailio in front of it, and sipp on both sides. All of them listen on the daemon's own address of
//! 127.0.0.0/8, so no other test and no service of the machine gets in the way.

use std::fs;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use serde_json::Value;

use super::program::Program;
use super::support::{Daemon, Framing, KEY, wait};

/// What users are told to start from; the tests change nothing in it but the three addresses, and how often the calls
/// are listed, in parts of what length.
const EXAMPLE: &str = include_str!("../../config/kamailio.cfg");

/// The callee answers.
pub const ANSWERS: &str = "+493023125100";
/// The callee is busy.
pub const IS_BUSY: &str = "+493023125186";
/// The callee rings until the caller gives up.
pub const RINGS: &str = "+493023125187";

/// The callee rings until the test lets it answer.
pub const WAITS: &str = "+493023125188";

/// Everything of one test.
pub struct Lab {
    kamailio: Option<Program>,
    sip: SocketAddr,
    callee: Program,
    callee_address: SocketAddr,
    /// Last, because its directory is that of the others too.
    pub daemon: Daemon,
}

impl Lab {
    /// Everything is up and connected.
    pub fn start() -> Self {
        let mut lab = Self::beside(Daemon::start());
        lab.wait_connected();
        lab
    }

    /// Everything is up and connected, and Kamailio tells every second which calls it has, each in a part of its own.
    pub fn listing() -> Self {
        let mut lab = Self::with(Daemon::start(), 1, 1);
        lab.wait_connected();
        lab
    }

    /// Kamailio and the callee are up; the daemon may run or not.
    pub fn beside(daemon: Daemon) -> Self {
        Self::with(daemon, 60, 150)
    }

    fn with(daemon: Daemon, list_every: u32, part: u32) -> Self {
        let place = daemon.place().join("sip");
        fs::create_dir(&place).unwrap();
        let host = daemon.listen().api.ip();
        let (sip, callee) = (free_udp(host), free_udp(host));

        let mut config = EXAMPLE.to_owned();
        let recalld = daemon.switch_address("edge-1");
        for (from, to) in [
            ("listen=udp:127.0.0.1:15060\n", format!("listen=udp:{sip}\n")),
            ("addr=127.0.0.1;port=9070;", format!("addr={};port={};", recalld.ip(), recalld.port())),
            ("\"sip:127.0.0.1:15080\"", format!("\"sip:{callee}\"")),
            ("#!define SYNC_PART 150\n", format!("#!define SYNC_PART {part}\n")),
            ("\"!SYNC_EVERY!60!\"", format!("\"!SYNC_EVERY!{list_every}!\"")),
        ] {
            assert_eq!(config.matches(from).count(), 1, "config/kamailio.cfg says {from:?} once");
            config = config.replace(from, &to);
        }
        fs::write(place.join("kamailio.cfg"), config).unwrap();

        let program = sipp(&place, "callee.out", callee, "callee.xml", "callee.log", &[]);
        let mut lab = Self { kamailio: None, sip, callee: program, callee_address: callee, daemon };
        lab.start_kamailio();
        lab
    }

    fn place(&self) -> PathBuf {
        self.daemon.place().join("sip")
    }

    fn start_kamailio(&mut self) {
        let place = self.place();
        let arguments = ["-DD", "-E", "-m", "16", "-M", "4", "-f", "kamailio.cfg", "-w", ".", "-Y", "."];
        let kamailio = self.kamailio.insert(Program::start("kamailio", &place, "kamailio.out", arguments));
        let socket = UdpSocket::bind((self.sip.ip(), 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let options = request("OPTIONS", self.sip, socket.local_addr().unwrap(), "ready");
        wait::until("Kamailio answers", || {
            kamailio.assert_running();
            socket.send_to(&options, self.sip).unwrap();
            socket.recv(&mut [0; 2048]).is_ok()
        });
    }

    /// Waits until Kamailio is connected to what listens at the address of the switch `edge-1`, which nobody else uses.
    pub fn wait_connected(&mut self) {
        let recalld = self.daemon.switch_address("edge-1");
        wait::until("Kamailio is connected", || {
            self.kamailio.as_mut().unwrap().assert_running();
            is_connected(recalld)
        });
    }

    /// Stops Kamailio as `systemctl restart` does, and starts it again.
    pub fn restart_kamailio(&mut self) {
        self.kamailio.take().unwrap().terminate();
        self.start_kamailio();
        self.wait_connected();
    }

    /// Kills Kamailio, so that it forgets its calls and nobody hears of it, and starts it again.
    pub fn kill_kamailio(&mut self) {
        drop(self.kamailio.take());
        self.start_kamailio();
        self.wait_connected();
    }

    /// Waits until so many parts of lists have come.
    pub fn wait_parts(&self, more: u64) {
        let told = || {
            let metrics = self.daemon.metrics();
            let series = "recalld_switch_requests_total{method=\"calls.sync\"} ";
            let count = metrics.lines().find_map(|line| line.strip_prefix(series)).expect("the series is there");
            count.parse::<u64>().unwrap()
        };
        let before = told();
        wait::until("Kamailio tells its calls", || told() >= before + more);
    }

    /// A call to `ANSWERS`.
    pub fn call(&self, call_id: &str, from: &str) -> Caller {
        self.call_to(ANSWERS, call_id, from, &[])
    }

    /// A call to any number. `from` is a name-addr, `headers` go into the INVITE.
    pub fn call_to(&self, called: &str, call_id: &str, from: &str, headers: &[&str]) -> Caller {
        let scenario = if called == RINGS { "caller-cancel.xml" } else { "caller.xml" };
        let address = free_udp(self.sip.ip());
        let log = format!("caller-{}.log", address.port());
        let headers = [&[""], headers].concat().join("\r\n");
        let program = sipp(
            &self.place(),
            &format!("caller-{}.out", address.port()),
            address,
            scenario,
            &log,
            &[
                &self.sip.to_string(),
                "-m",
                "1",
                "-cid_str",
                call_id,
                "-key",
                "from",
                from,
                "-key",
                "called",
                called,
                "-key",
                "headers",
                &headers,
            ],
        );
        Caller { program, address, call_id: call_id.to_owned(), log: self.place().join(log) }
    }

    /// Lets the callee of a call to `WAITS` answer.
    pub fn answer(&self, caller: &mut Caller) {
        let socket = UdpSocket::bind((self.sip.ip(), 0)).unwrap();
        let hint = request("MESSAGE", self.callee_address, socket.local_addr().unwrap(), &caller.call_id);
        // Again and again, because UDP loses what comes too soon.
        let answered = (0..100).any(|_| {
            socket.send_to(&hint, self.callee_address).unwrap();
            wait::within(wait::LONG / 100, || caller.has_come_to("talking").then_some(())).is_some()
        });
        assert!(answered, "{} is not answered", caller.call_id);
    }

    /// The INVITE as the callee got it.
    pub fn invite(&mut self, call_id: &str) -> Invite {
        let log = self.place().join("callee.log");
        let line = format!("\r\nCall-ID: {call_id}\r\n");
        let invite = wait::within(wait::LONG, || {
            self.callee.assert_running();
            let log = read(&log);
            log.split_inclusive("\r\n\r\n").find(|invite| invite.contains(&line)).map(str::to_owned)
        });
        Invite(invite.unwrap_or_else(|| panic!("the callee gets no INVITE of {call_id}")))
    }

    /// The context of an active call, as another switch of the tenant sees it.
    pub fn context(&self, call_id: &str) -> Value {
        self.daemon.switch("edge-2", Framing::Netstring).context(call_id)
    }

    /// Sets a variable.
    pub fn set(&self, call_id: &str, lifetime: &str, set: Value) {
        self.daemon.switch("edge-2", Framing::Netstring).set(call_id, lifetime, set);
    }

    /// Waits until recalld has heard that the call has come so far. The result is what a voice app sees of it.
    pub fn wait_state(&self, call_id: &str, state: &str) -> Value {
        let http = self.daemon.http(KEY);
        let path = format!("/v1/calls/{call_id}");
        let call = wait::within(wait::LONG, || Some(http.get(&path).ok()).filter(|call| call["state"] == state));
        call.unwrap_or_else(|| panic!("{call_id} does not come to be {state}"))
    }
}

/// One call from the caller's side.
pub struct Caller {
    program: Program,
    address: SocketAddr,
    call_id: String,
    log: PathBuf,
}

impl Caller {
    /// Waits until the caller hears the callee, or at least its bell.
    pub fn wait_for(&mut self, step: &str) {
        let come = wait::within(wait::LONG, || {
            let come = self.has_come_to(step);
            if !come {
                self.program.assert_running();
            }
            come.then_some(())
        });
        assert!(come.is_some(), "{} does not come to {step}", self.call_id);
    }

    fn has_come_to(&self, step: &str) -> bool {
        read(&self.log).lines().any(|line| line == step)
    }

    /// Hangs up, or gives up, and holds the rest of the call to the scenario.
    pub fn hang_up(mut self) {
        let socket = UdpSocket::bind((self.address.ip(), 0)).unwrap();
        let hint = request("MESSAGE", self.address, socket.local_addr().unwrap(), &self.call_id);
        // Again and again, because UDP loses what comes too soon.
        let status = (0..100).find_map(|_| {
            socket.send_to(&hint, self.address).unwrap();
            self.program.wait_exit(wait::LONG / 100)
        });
        self.assert_success(status);
    }

    /// Holds the rest of the call to the scenario.
    pub fn finish(mut self) {
        let status = self.program.wait_exit(wait::LONG);
        self.assert_success(status);
    }

    fn assert_success(&self, status: Option<ExitStatus>) {
        assert!(status.is_some_and(|status| status.success()), "{}: sipp ends with {status:?}", self.call_id);
    }
}

/// An INVITE as text.
pub struct Invite(String);

impl Invite {
    /// The only value of this header; none if it is missing.
    pub fn header(&self, name: &str) -> Option<&str> {
        let is_it = |line: &&str| line.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name));
        let mut lines = self.0.lines().filter(is_it);
        let line = lines.next()?;
        assert_eq!(lines.next(), None, "{name} is there twice:\n{}", self.0);
        line.split_once(':').map(|(_, value)| value.trim())
    }

    /// The session ID in it.
    pub fn session_id(&self) -> &str {
        self.header("X-Session-Id").expect("the callee gets a session ID")
    }
}

fn sipp(place: &Path, output: &str, at: SocketAddr, scenario: &str, log: &str, more: &[&str]) -> Program {
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kamailio").join(scenario);
    let (host, port) = (at.ip().to_string(), at.port().to_string());
    let scenario = scenario.to_str().unwrap();
    let common = ["-sf", scenario, "-i", &host, "-p", &port, "-nostdin", "-trace_logs", "-log_file", log];
    // What comes too soon is told beside the rest, and comes again.
    let errors =
        ["-trace_err", "-error_file", output, "-error_overwrite", "false", "-default_behaviors", "all,-abortunexp"];
    Program::start("sipp", place, output, more.iter().chain(&common).chain(&errors))
}

/// A SIP request outside of everything.
fn request(method: &str, to: SocketAddr, from: SocketAddr, call_id: &str) -> Vec<u8> {
    format!(
        "{method} sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK-{method}\r\n\
         From: <sip:test@{from}>;tag=test\r\nTo: <sip:{to}>\r\nCall-ID: {call_id}\r\nCSeq: 1 {method}\r\n\
         Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

fn free_udp(host: IpAddr) -> SocketAddr {
    UdpSocket::bind((host, 0)).unwrap().local_addr().unwrap()
}

/// Whether the kernel has an established connection to what listens here.
fn is_connected(listener: SocketAddr) -> bool {
    let SocketAddr::V4(address) = listener else { panic!("{listener} is not IPv4") };
    let wanted = [in_proc(address), "01".to_owned()];
    fs::read_to_string("/proc/net/tcp").unwrap().lines().any(|line| {
        let mut columns = line.split_whitespace().skip(1);
        [columns.next(), columns.nth(1)] == [Some(&*wanted[0]), Some(&*wanted[1])]
    })
}

/// An address as `/proc/net/tcp` writes it.
fn in_proc(address: SocketAddrV4) -> String {
    format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port())
}

fn read(file: &Path) -> String {
    String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned()
}
