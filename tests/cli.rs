//! The command line against the real binary (PRODUCT.md 8).
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

fn recalld() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_recalld"));
    command.stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    recalld().args(arguments).output().unwrap()
}

/// Runs with this text on standard input.
fn run_with(input: &str, arguments: &[&str]) -> Output {
    let mut child =
        recalld().args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// What a terminal of this width shows of a command that ends by itself or after three seconds.
fn on_terminal(arguments: &[&str], width: u16) -> String {
    let command =
        [&["timeout", "--foreground", "--signal", "INT", "3", env!("CARGO_BIN_EXE_recalld")], arguments].concat();
    let quoted = command.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
    let script = format!("stty cols {width}; exec {quoted}");
    let shown = Command::new("script").args(["--quiet", "--command", &script, "/dev/null"]).output().unwrap();
    // `script` shows that its own input is over.
    out(&shown).replace('\r', "").replace("^D\u{8}\u{8}", "")
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {} {}", out(output), err(output)))
}

/// A directory with files of its own.
struct Room(TempDir);

impl Room {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, content: &str) -> String {
        fs::write(self.path(name), content).unwrap();
        self.text(name)
    }

    /// A configuration with everything in this directory, on free ports, and its root key.
    fn configured(&self) -> String {
        let key = self.text("root.key");
        if !Path::new(&key).exists() {
            assert_eq!(code(&run(&["key", "generate", "--out", &key])), 0);
        }
        let [switch, api, admin] = free_ports();
        self.write(
            "recalld.toml",
            &format!(
                r#"
[data]
path = "{data}"
min_free = "1MiB"
[keys]
root = "{key}"
[api]
listen = "127.0.0.1:{api}"
[admin]
listen = "127.0.0.1:{admin}"
socket = "{socket}"
[[tenant]]
id = "acme"
[[tenant.release]]
instance_id = "support-de"
generation = "phone2"
numbers = ["+493023125000"]
[[switch]]
name = "edge-1"
protocol = "jsonrpc"
listen = "127.0.0.1:{switch}"
tenant = "acme"
region = "DE"
"#,
                data = self.text("data"),
                socket = self.text("recalld.sock"),
            ),
        )
    }
}

fn free_ports() -> [u16; 3] {
    let held = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

/// A process that is killed at the end, whatever happens.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the daemon and waits until it answers.
fn serve(room: &Room, file: &str) -> Process {
    let log = fs::File::create(room.path("daemon.log")).unwrap();
    let daemon = Process(
        recalld().args(["serve", "--config", file]).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap(),
    );
    let until = Instant::now() + Duration::from_secs(30);
    while code(&run(&["status", "--config", file])) != 0 {
        assert!(Instant::now() < until, "{}", fs::read_to_string(room.path("daemon.log")).unwrap());
        std::thread::sleep(Duration::from_millis(50));
    }
    daemon
}

#[test]
fn check_names_line_column_and_the_key_that_was_meant_of_every_error_and_ends_with_78() {
    let room = Room::new();
    let wrong = "[api]\n  lisen = \"127.0.0.1:8070\"\n[[switch]]\nname = \"edge-1\"\nprotocol = \"jsonrpc\"\n\
                 listen = \"9070\"\ntenant = \"acme\"\nregion = \"DE\"\n";
    let file = room.write("recalld.toml", wrong);
    let checked = run(&["check", "--config", &file]);
    assert_eq!(code(&checked), 78);
    assert!(out(&checked).is_empty());
    let text = err(&checked);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines.iter().all(|line| line.starts_with(&format!("{file}: line "))), "{text}");
    assert!(lines[0].contains("line 2, column 3") && lines[0].contains("did you mean `listen`?"), "{text}");
    assert!(lines[1].contains("line 6, column 10") && lines[1].contains("not an address"), "{text}");
    assert!(lines[2].contains("line 7, column 10") && lines[2].contains("no tenant `acme`"), "{text}");

    let refused = run(&["serve", "--config", &file]);
    assert_eq!(code(&refused), 78);
    let text = err(&refused);
    assert!(text.contains("line 2, column 3") && text.contains("2 more errors, which `recalld check` tells"), "{text}");

    let checked = run(&["check", "--json", "--config", &file]);
    assert_eq!(code(&checked), 78);
    let answer = json(&checked);
    assert_eq!((&answer["ok"], &answer["line"], &answer["column"]), (&false.into(), &2.into(), &3.into()));
    let lines: Vec<_> = answer["errors"].as_array().unwrap().iter().map(|error| &error["line"]).collect();
    assert_eq!(lines, [2, 6, 7]);

    let checked = run(&["check", "--config", &room.text("none.toml")]);
    assert_eq!(code(&checked), 78);
    assert!(err(&checked).contains("no such file"), "{}", err(&checked));
}

#[test]
fn check_prints_ok_and_takes_what_is_unwise_for_a_warning() {
    let room = Room::new();
    let file = room.configured();
    let checked = run(&["check", "--config", &file]);
    assert_eq!((code(&checked), out(&checked).as_str()), (0, "ok\n"));

    fs::set_permissions(room.path("root.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let text = fs::read_to_string(&file).unwrap().replace("[api]\nlisten = \"127.0.0.1", "[api]\nlisten = \"0.0.0.0");
    let file = room.write("recalld.toml", &text);
    let checked = run(&["check", "--config", &file]);
    assert_eq!(code(&checked), 0);
    let text = out(&checked);
    assert!(text.contains("warning: others may read the root key"), "{text}");
    assert!(text.contains("warning: api listens on 0.0.0.0"), "{text}");
    assert!(text.contains("the configuration is ok, but") && text.contains("does not start"), "{text}");
    let checked = run(&["check", "--json", "--config", &file]);
    assert_eq!(json(&checked)["warnings"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_root_key_is_for_its_owner_alone_and_never_overwritten() {
    let room = Room::new();
    let file = room.text("root.key");
    let made = run(&["key", "generate", "--out", &file]);
    assert_eq!(code(&made), 0, "{}", err(&made));
    let key = fs::read_to_string(&file).unwrap();
    assert!(key.len() == 65 && key.ends_with('\n') && key.trim_end().bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!out(&made).contains(key.trim_end()), "the key is not printed");

    let again = run(&["key", "generate", "--out", &file]);
    assert_eq!(code(&again), 1);
    assert!(err(&again).contains("never overwritten"), "{}", err(&again));
    assert_eq!(fs::read_to_string(&file).unwrap(), key);
}

#[test]
fn an_api_key_comes_with_the_lines_to_paste() {
    let room = Room::new();
    let made = run(&["api-key", "generate", "--name", "desk", "--scope", "context:read", "--scope", "number:reveal"]);
    assert_eq!(code(&made), 0, "{}", err(&made));
    let text = out(&made);
    assert_eq!(text.matches("rk_").count(), 1, "the key is printed once");
    let table = text.split_once("[[tenant.api_key]]").unwrap().1;
    assert!(table.contains("scopes = [\"context:read\", \"number:reveal\"]"), "{table}");
    let file = fs::read_to_string(room.configured()).unwrap();
    let file = file.replace("[[switch]]", &format!("[[tenant.api_key]]{table}\n[[switch]]"));
    let checked = run(&["check", "--config", &room.write("with-key.toml", &file)]);
    assert_eq!(out(&checked), "ok\n", "{}", err(&checked));

    let keys = [(); 2].map(|()| json(&run(&["api-key", "generate", "--json"]))["key"].as_str().unwrap().to_owned());
    assert!(keys[0] != keys[1] && keys[0].starts_with("rk_") && keys[0].len() == 46);
}

#[test]
fn without_a_daemon_the_exit_code_is_69_and_the_text_says_what_to_do() {
    let room = Room::new();
    let socket = room.text("recalld.sock");
    for command in ["status", "calls", "sessions", "watch"] {
        let asked = run(&[command, "--socket", &socket]);
        assert_eq!(code(&asked), 69, "{command}");
        let text = err(&asked);
        assert!(text.contains(&socket) && text.contains("recalld serve") && text.contains("--socket"), "{text}");
    }
    let asked = run(&["status", "--config", &room.configured(), "--json"]);
    assert_eq!((code(&asked), out(&asked).as_str()), (69, ""));

    let nobody = format!("127.0.0.1:{}", free_ports()[0]);
    let called = run(&["simulate", "call", "--switch", &nobody]);
    assert_eq!(code(&called), 69);
    assert!(err(&called).contains(&nobody), "{}", err(&called));
}

#[test]
fn a_wrong_command_line_is_2_and_a_number_on_it_is_not_repeated() {
    for arguments in [&[][..], &["serv"], &["status", "--nope"], &["demo", "--port-base", "0"], &["key", "generate"]] {
        assert_eq!(code(&run(arguments)), 2, "{arguments:?}");
    }
    let number = "+493023125017";
    for arguments in [
        &["simulate", "call", "--from", number][..],
        &["session-id", "--tenant", "acme", "--instance", "support-de", "--number", number],
    ] {
        let refused = run(arguments);
        assert_eq!(code(&refused), 2);
        let text = err(&refused);
        assert!(text.contains("standard input") && !text.contains("23125017"), "{text}");
    }
    assert_eq!(code(&run(&["--version"])), 0);
    assert_eq!(out(&run(&["--version"])), concat!("recalld ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn the_session_id_of_a_number_is_that_of_an_independent_implementation() {
    let room = Room::new();
    // The key and the value of tests/data/session-id-vectors.json.
    room.write("root.key", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n");
    fs::set_permissions(room.path("root.key"), fs::Permissions::from_mode(0o600)).unwrap();
    let file = room.configured();
    let _daemon = serve(&room, &file);
    let arguments = ["session-id", "--tenant", "acme", "--instance", "support-de", "--number", "-", "--config", &file];
    for number in ["+493023125001\n", "030 23125001\n", "<sip:+493023125001@switch.example>\n"] {
        let found = run_with(number, &arguments);
        assert_eq!(
            out(&found).trim_end(),
            "a64290625948094b2d85f8aca0b7158849ed707a2d09801d44c81594a509a8bf",
            "{}",
            err(&found)
        );
    }
    let found = run_with("anonymous\n", &arguments);
    assert_eq!(code(&found), 1);
    assert!(err(&found).contains("withheld"), "{}", err(&found));
}

#[test]
fn the_demo_plays_its_day_and_shows_no_number() {
    let room = Room::new();
    let begin = Instant::now();
    let played = recalld().args(["demo", "--once"]).env("TMPDIR", room.0.path()).output().unwrap();
    let took = begin.elapsed();
    let text = out(&played);
    assert_eq!(code(&played), 0, "{text}{}", err(&played));
    for shown in [
        "Anna calls for the first time",
        "Anna calls again",
        "A second call from the same number",
        "A caller who withholds the number",
        "The power fails",
        "language = \"de\" (user)",
        "ticket = {\"id\":4711} (session)",
        "step = \"menu\" (call)",
        "ticket is gone (session): a new call began",
        "step is gone (call): its call ended",
        "2 active calls",
        "refused: user_lifetime_unavailable",
        "✓ recognised",
        "✓ her number is in none of them",
    ] {
        assert!(text.contains(shown), "{shown} is missing:\n{text}");
    }
    assert!(!text.contains('✗'), "{text}");
    assert!(!text.contains('\u{1b}'), "no colours for a pipe");
    assert!(text.contains("+49••••••••01"));
    assert!(!text.contains("3023125") && !err(&played).contains("3023125"), "no number in full:\n{text}");
    assert!(took < Duration::from_secs(45), "{took:?}");
    assert_eq!(fs::read_dir(room.0.path()).unwrap().count(), 0, "the directory of the demo is gone");
}

#[test]
fn operators_see_calls_sessions_and_changes_of_a_simulated_switch() {
    let room = Room::new();
    let file = room.configured();
    let text = fs::read_to_string(&file).unwrap();
    let switch = text.split("[[switch]]").nth(1).and_then(|table| table.split('"').nth(5)).unwrap();
    let _daemon = serve(&room, &file);
    let status = json(&run(&["status", "--config", &file, "--json"]));
    assert_eq!((&status["ready"], &status["active_calls"]), (&true.into(), &0.into()));

    let mut watch = recalld();
    watch.args(["watch", "--config", &file, "--values", "--json"]).stdout(Stdio::piped());
    let mut watch = Process(watch.spawn().unwrap());
    let mut events = BufReader::new(watch.0.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&events.next().unwrap().unwrap()).unwrap();
    assert_eq!(next()["type"], "synced");

    let mut call = recalld();
    call.args(["simulate", "call", "--switch", switch, "--caller", "7", "--call-id", "a b@switch.example"]);
    call.args(["--set", "language=de", "--lifetime", "user", "--for", "10m", "--json"]);
    let mut call = Process(call.stdout(Stdio::piped()).spawn().unwrap());
    let mut answers = BufReader::new(call.0.stdout.take().unwrap());
    let mut start = String::new();
    answers.read_line(&mut start).unwrap();
    let start: Value = serde_json::from_str(&start).unwrap();
    let context = &start["result"];
    assert_eq!((&context["returning"], &context["active_calls"]), (&false.into(), &1.into()));
    let session = context["session_id"].as_str().unwrap();

    let change = std::iter::from_fn(|| Some(next())).find(|event| event["type"] == "change").unwrap();
    assert_eq!(
        (&change["name"], &change["value"], &change["lifetime"]),
        (&"language".into(), &"de".into(), &"user".into())
    );

    let calls = json(&run(&["calls", "--config", &file, "--json"]));
    assert_eq!(calls["calls"][0]["call_id"], "a b@switch.example");
    assert!(out(&run(&["calls", "--config", &file])).contains("a b@switch.example"));
    let sessions = run(&["sessions", "--config", &file, "--tenant", "acme"]);
    assert!(out(&sessions).contains(session), "a pipe gets whole IDs: {}", out(&sessions));
    // As a terminal shows it, with its ellipsis.
    let short = format!("{}…", &session[..12]);
    let shown = out(&run(&["sessions", &short, "--tenant", "acme", "--config", &file]));
    assert!(shown.contains(session), "{shown}");
    let shown = out(&run(&["sessions", session, "--tenant", "acme", "--config", &file]));
    assert!(shown.contains("language") && !shown.contains("\"de\""), "names, never values: {shown}");

    let status = out(&run(&["status", "--config", &file]));
    let words: Vec<_> = status.split_whitespace().map(|word| word.trim_matches([',', '(', ')'])).collect();
    assert!(words.windows(2).any(|pair| pair == ["1", "alias"]), "{status}");
    let plurals = ["aliases", "records", "sessions", "commits", "watchers"];
    let plural_of_one = |pair: &&[&str]| pair[0] == "1" && plurals.contains(&pair[1]);
    assert_eq!(words.windows(2).find(plural_of_one), None, "{status}");
    for listed in [["sessions", "--config", &file], ["calls", "--config", &file]] {
        let shown = on_terminal(&listed, 80);
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
        assert!(shown.contains(&short), "its beginning can be pasted: {shown}");
    }

    // Ctrl-C hangs up, rather than leaving a call behind.
    let interrupted = Command::new("kill").args(["-INT", &call.0.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    let mut rest = String::new();
    answers.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("call.end"), "{rest}");
    assert_eq!(call.0.wait().unwrap().code(), Some(0));
    assert_eq!(out(&run(&["calls", "--config", &file])), "no call is active\n");

    let loaded = run(&[
        "simulate",
        "load",
        "--switch",
        switch,
        "--calls-per-second",
        "20",
        "--for",
        "1s",
        "--connections",
        "2",
        "--json",
    ]);
    let summary = json(&loaded);
    assert_eq!(
        (&summary["calls"]["completed"], &summary["refused"]),
        (&20.into(), &serde_json::json!({})),
        "{summary}"
    );
    assert_eq!(summary["events"], 140);
}

#[test]
fn who_waits_on_a_terminal_is_told_for_what_and_how_to_end_it() {
    let room = Room::new();
    let file = room.configured();
    let _daemon = serve(&room, &file);
    let shown = on_terminal(&["watch", "--config", &file, "--tenant", "acme"], 100);
    assert!(shown.starts_with("waiting for calls and changes of all releases of acme; Ctrl-C ends it\n"), "{shown}");
    // Nothing of it where nobody sees it.
    let mut watch = recalld();
    watch.args(["watch", "--config", &file, "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut watch = watch.spawn().unwrap();
    let mut first = String::new();
    BufReader::new(watch.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(serde_json::from_str::<Value>(&first).is_ok(), "{first}");
    watch.kill().unwrap();
    assert_eq!(err(&watch.wait_with_output().unwrap()), "");
}

#[test]
fn weeks_pass_in_seconds_and_tell_what_goes_when() {
    let output = run(&["simulate", "--days", "60", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<Value> =
        String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let days = |what: &str| -> Vec<u64> {
        let told = lines.iter().filter(|line| line["what"].as_str().unwrap().contains(what));
        told.map(|line| line["day"].as_u64().unwrap()).collect()
    };
    assert_eq!(days("pin_ok goes: expired"), [0]);
    assert_eq!(days("ticket goes: new_call"), [3]);
    assert_eq!(days("topic goes: expired"), [31], "30 days after the call of day 1");
    assert_eq!(days("ticket goes: expired"), [33], "30 days after the call of day 3");
    assert!(days("language goes").is_empty());
    assert_eq!(days("nothing is known any more"), [60], "the withheld caller's session");
    assert_eq!(days("contacts 2, language=\"de\""), [60]);
}
