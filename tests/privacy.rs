//! Canaries in a day of traffic: no number and no display name is found anywhere afterwards, no value where values do
//! not belong (PRODUCT.md 3.6, 7).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

mod support;

#[path = "support/rows.rs"]
mod rows;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use support::{Config, Daemon, Framing, KEY, Switch, rpc};

/// The last digits of the canary callers: they are looked for without country and area code, so that every way of
/// writing the number is found.
const DIGITS: [&str; 3] = ["23125931", "23125932", "23125933"];

/// Names and texts of strangers, never written anywhere but where the release keeps them, sealed.
const TEXTS: [&str; 4] = ["Canary Bird", "canary.user", "canary-header", "canary-customer"];

/// Values of variables: sealed on the disk, shown to who may read them, in no log and no metric.
const VALUES: [&str; 3] = ["canary-value-call", "canary-value-session", "canary-value-user"];

/// Where the called party is a canary, too: a number that no release has.
const CALLED: &str = "+442079460991";
const CALLED_DIGITS: &str = "79460991";

/// Everything that answered, to be searched: errors of the switch and of the API.
#[derive(Default)]
struct Answers(Vec<String>);

impl Answers {
    fn refused(&mut self, edge: &mut rpc::Rpc, method: &str, params: &Value) {
        let error = edge.call(method, params).expect_err("this is refused");
        self.0.push(format!("{error:?}"));
    }
}

fn start(call: &str, digits: &str) -> Value {
    let number = format!("+4930{digits}");
    json!({
        "call_id": call, "from": format!("\"{}\" <sip:{number}@192.0.2.7;user=phone>", TEXTS[0]),
        "to": "sip:+493023125000@192.0.2.1", "display": TEXTS[0], "pai": [format!("<tel:{number}>")],
        "rpid": format!("\"{}\" <sip:{number}@192.0.2.7>;party=calling;privacy=off", TEXTS[0]),
        "headers": {"X-Customer": TEXTS[2], "P-Asserted-Identity": format!("<tel:{number}>")},
    })
}

/// A day: known and withheld callers, failures of all kinds, changes by switch and API, a watcher.
fn day(daemon: &Daemon, name: &str, answers: &mut Answers) {
    let mut edge = daemon.edge();
    let mut bare = daemon.switch("edge-2", Framing::Bare);
    let http = daemon.http(KEY);
    let mut watcher = daemon.watcher(KEY);
    watcher.subscribe("w", &json!({"instance_id": "support-de"}));
    for (at, digits) in DIGITS.into_iter().enumerate() {
        let call = format!("{name}-{at}");
        let context = edge.ok("call.start", &start(&call, digits));
        assert!(!context.to_string().contains(digits), "the switch's context holds no number");
        let session = context["session_id"].as_str().unwrap().to_owned();
        edge.set(&call, "call", json!({"menu": VALUES[0]}));
        edge.set(&call, "session", json!({"ticket": {"text": VALUES[1]}}));
        edge.set(&call, "user", json!({"note": VALUES[2]}));
        edge.ok("call.ringing", &json!({"call_id": call, "code": 180}));
        edge.ok("call.answer", &json!({"call_id": call}));
        edge.ok("call.dtmf", &json!({"call_id": call, "digit": "5", "duration_ms": 90}));
        let path = format!("/v1/sessions/{session}/variables/by_app");
        http.put(&path, &json!({"value": VALUES[1], "lifetime": "session"})).ok();
        let shown = http.get(&format!("/v1/calls/{call}")).ok();
        assert_eq!(shown["number"], format!("+4930{digits}"), "the key may reveal it");
        http.get(&format!("/v1/sessions/{session}")).ok();

        // What is refused, with canaries wherever a stranger can put them.
        let mut withheld = start(&call, digits);
        withheld["privacy"] = json!("id");
        answers.refused(&mut bare, "call.start", &withheld);
        let mut unknown = start(&format!("{call}-u"), digits);
        unknown["to"] = json!(format!("sip:{CALLED}@192.0.2.1"));
        answers.refused(&mut bare, "call.start", &unknown);
        let mut wrong = start(&format!("{call}-w"), digits);
        wrong["direction"] = json!(format!("+4930{digits}"));
        answers.refused(&mut edge, "call.start", &wrong);
        answers.refused(&mut edge, "call.ringing", &json!({"call_id": call, "code": VALUES[0]}));
        answers.refused(&mut edge, "variables.set", &json!({"call_id": call, "set": {format!("+4930 {digits}"): 1}}));
        answers.refused(
            &mut edge,
            "variables.set",
            &json!({"call_id": call, "set": {"n": VALUES[1]}, "ttl": VALUES[1]}),
        );
        answers.refused(&mut edge, &format!("call.{digits}"), &json!({}));
        answers.0.push(http.put(&path, &json!({"value": VALUES[1], "lifetime": VALUES[1]})).text);
        answers.0.push(http.get(&format!("/v1/calls/+4930{digits}")).text);
        answers.0.push(http.send("PUT", &path, &[("if-match", "\"9999\"")], Some(&json!({"value": 1}))).problem().1);
        edge.send_document(&format!("{{\"from\":\"+4930{digits}\",{}", TEXTS[0]));
        answers.0.push(edge.next_document().unwrap().to_string());

        // Who asks with a number: voice apps and operators.
        let number = format!("+4930{digits}");
        let found = http.post("/v1/lookup", &json!({"number": number, "instance_id": "support-de"})).ok();
        assert_eq!(found["session_id"], session);
        for asked in [
            json!({"number": CALLED, "instance_id": "support-de"}),
            json!({"number": number, "instance_id": "nothing"}),
            json!({"number": [number], "instance_id": "support-de"}),
            json!({"number": number, "instance_id": "support-de", "region": number}),
            json!({"number": number, "instance_id": number}),
        ] {
            answers.0.push(http.post("/v1/lookup", &asked).problem().1);
            answers.0.push(http.post("/v1/lookup", &asked).text);
        }
        for instance in ["support-de", "sales-us", "nothing"] {
            let words = ["session-id", "--tenant", "acme", "--instance", instance, "--number", "-", "--json"];
            let ran = daemon.recalld_with(&words, &format!("{number}\n"));
            answers.0.extend([ran.out, ran.err]);
        }

        let mut hidden = start(&format!("{call}-h"), digits);
        hidden["privacy"] = json!("id;header");
        assert_eq!(edge.ok("call.start", &hidden)["anonymous"], true);
        let mut customer = start(&format!("{call}-c"), digits);
        customer["user_id"] = json!(TEXTS[3]);
        edge.ok("call.start", &customer);
        edge.end(&format!("{call}-c"));
        edge.ok(
            "call.start",
            &json!({"call_id": format!("{call}-s"), "to": "tel:+493023125000",
            "from": format!("sip:{}@192.0.2.9", TEXTS[1])}),
        );
        edge.ok("call.start", &rpc::start_to(&format!("{call}-o"), &format!("+4930{digits}"), "tel:+12025550100"));
        bare.notify("call.start", &unknown);
        bare.ok("ping", &json!({}));
        if at > 0 {
            edge.end(&call);
        }
    }
    let audited = daemon.recalld(&["audit", "export"]).out;
    for what in ["number_revealed", "number_looked_up", "session_id_asked"] {
        assert!(audited.contains(what), "{audited}");
    }
    answers.0.push(audited);
}

/// What the admin socket says of the running calls and their sessions.
fn admin(daemon: &Daemon) -> String {
    let mut socket = UnixStream::connect(daemon.place().join("recalld.sock")).unwrap();
    socket.set_read_timeout(Some(support::wait::LONG)).unwrap();
    let mut lines = BufReader::new(socket.try_clone().unwrap());
    let mut said = String::new();
    for operation in ["status", "calls", "sessions"] {
        writeln!(socket, "{}", json!({"op": operation})).unwrap();
        lines.read_line(&mut said).unwrap();
    }
    assert!(said.lines().count() == 3 && !said.contains("\"error\""), "{said}");
    said
}

fn config() -> Config {
    let mut config = Config::default()
        .switches([Switch::trusted("edge-1"), Switch::trusted("edge-2")])
        .environment("RECALLD_LOG", "trace");
    // One release keeps numbers, sealed, the other does not.
    config.tenants =
        config.tenants.replacen("generation = \"phone2\"", "generation = \"phone2\"\nkeep_number = true", 1);
    config
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
}

/// Fails for each of these words in `bytes`.
fn holds_none_of(place: &str, bytes: &[u8], words: &[&str]) {
    for word in words {
        assert!(!contains(bytes, word), "{place} holds {word:?}");
    }
}

fn secrets() -> Vec<&'static str> {
    DIGITS.into_iter().chain(TEXTS).chain([CALLED_DIGITS, KEY]).collect()
}

#[test]
fn no_number_name_or_value_of_a_day_is_found_in_log_metrics_files_or_errors() {
    let mut answers = Answers::default();
    let mut daemon = Daemon::with(config());
    day(&daemon, "morning", &mut answers);
    let mut metrics = daemon.metrics();
    daemon.kill();
    daemon.restart();
    day(&daemon, "evening", &mut answers);
    metrics.push_str(&daemon.metrics());
    answers.0.push(admin(&daemon));
    let while_running = daemon.log();
    daemon.terminate();

    let secrets = secrets();
    let with_values: Vec<&str> = secrets.iter().copied().chain(VALUES).collect();
    let log = daemon.log();
    assert!(log.len() >= while_running.len() && log.contains("TRACE"), "the daemon logs everything it has to say");
    holds_none_of("the log", log.as_bytes(), &with_values);
    assert!(metrics.contains("# TYPE"), "{metrics}");
    holds_none_of("/metrics", metrics.as_bytes(), &with_values);
    for answer in &answers.0 {
        holds_none_of(&format!("the answer {answer}"), answer.as_bytes(), &with_values);
    }
    let mut found = Vec::new();
    files(&daemon.data_path(), &mut found);
    assert!(!found.is_empty());
    for file in found {
        let name = file.strip_prefix(daemon.data_path()).unwrap().display().to_string();
        holds_none_of(&format!("the name of {name}"), name.as_bytes(), &with_values);
        holds_none_of(&name, &fs::read(&file).unwrap(), &with_values);
    }
    // The files hold compressed rows, too.
    let rows = rows::rows(&daemon.data_path().join("db"));
    for family in ["log", "sessions", "aliases", "audit", "meta"] {
        assert!(rows.iter().any(|row| row.family == family), "{family} is read");
    }
    for row in rows {
        holds_none_of(&format!("a key of {}", row.family), &row.key, &with_values);
        holds_none_of(&format!("a value of {}", row.family), &row.value, &with_values);
    }
}

#[test]
fn no_number_and_no_key_is_on_the_command_line_or_in_the_environment() {
    let daemon = Daemon::with(config());
    day(&daemon, "noon", &mut Answers::default());
    let root = fs::read(daemon.place().join("root.key")).unwrap();
    let root = std::str::from_utf8(&root).unwrap();
    let words: Vec<&str> = secrets().into_iter().chain([root]).collect();
    let look = |pid: u32| {
        for file in ["cmdline", "environ"] {
            let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap();
            assert!(!bytes.is_empty());
            holds_none_of(file, &bytes, &words);
        }
    };
    look(daemon.pid());

    // Of a command too that was given a number and waits for more of it.
    let mut asking = Command::new(env!("CARGO_BIN_EXE_recalld"))
        .args(["session-id", "--tenant", "acme", "--instance", "support-de", "--number", "-", "--config"])
        .arg(daemon.config_path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = asking.stdin.take().unwrap();
    input.write_all(format!("+4930{}", DIGITS[0]).as_bytes()).unwrap();
    // Forked and not yet another program it would show the command line of this test.
    support::wait::until("it runs", || {
        fs::read(format!("/proc/{}/cmdline", asking.id()))
            .unwrap()
            .starts_with(env!("CARGO_BIN_EXE_recalld").as_bytes())
    });
    look(asking.id());
    drop(input);
    let answer = asking.wait_with_output().unwrap();
    assert!(answer.status.success() && answer.stdout.len() >= 64, "{answer:?}");
}

#[test]
fn the_search_finds_what_it_is_to_find() {
    assert!(contains(b"\0\x01tel:+493023125931\0", DIGITS[0]));
    assert!(contains(b"CANARY BIRD", TEXTS[0]));
    assert!(!contains(b"+4930 2312593", DIGITS[0]));

    // In a database, whose files are compressed.
    let place = tempfile::tempdir().unwrap();
    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    options.set_compression_type(rocksdb::DBCompressionType::Lz4);
    let value = "+4930".repeat(40) + DIGITS[0];
    {
        let db = rocksdb::DB::open(&options, place.path()).unwrap();
        for key in 0..100_u8 {
            db.put([key], &value).unwrap();
        }
        db.flush().unwrap();
    }
    let rows = rows::rows(place.path());
    assert_eq!(rows.iter().filter(|row| contains(&row.value, DIGITS[0])).count(), 100);
}
