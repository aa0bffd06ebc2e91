//! Nothing is ever shared between tenants (PRODUCT.md 2, 6): not by key, call ID, session ID, cursor or guess.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::support::config::{ALL_SCOPES, api_key};
use super::support::{Config, Daemon, Framing, KEY, OTHER_KEY, Rpc, Switch, Watcher, rpc, wait};
use super::{ANNA, session_id};

const NUMBER: &str = "tel:+493023125000";
const OTHER_NUMBER: &str = "tel:+442079460000";

/// Two tenants with a release of the same name, each with a switch of its own, and one switch for both.
fn config() -> Config {
    let tenant = |id: &str, number: &str, key: &str| {
        let release =
            format!("[[tenant.release]]\ninstance_id = \"desk\"\ngeneration = \"phone2\"\nnumbers = [\"{number}\"]\n");
        format!("[[tenant]]\nid = \"{id}\"\n{release}{}", api_key("bot", key, ALL_SCOPES))
    };
    let tenants = tenant("acme", "+493023125000", KEY) + &tenant("globex", "+442079460000", OTHER_KEY);
    let of =
        |name: &str, tenant: &str| Switch::new(name, &format!("{tenant}\ntrust_identity = true\nregion = \"DE\"\n"));
    Config::default().tenants(&tenants).switches([
        of("edge-1", "tenant = \"acme\""),
        of("edge-2", "tenant = \"globex\""),
        of("shared", "tenants = [\"acme\", \"globex\"]"),
    ])
}

fn edges(daemon: &Daemon) -> (Rpc, Rpc) {
    (daemon.switch("edge-1", Framing::Netstring), daemon.switch("edge-2", Framing::Netstring))
}

#[test]
fn one_number_at_two_tenants_gives_unrelated_session_ids() {
    let daemon = Daemon::with(config());
    let (mut acme, mut globex) = edges(&daemon);
    let first = acme.ok("call.start", &rpc::start_to("a", ANNA, NUMBER));
    let second = globex.ok("call.start", &rpc::start_to("a", ANNA, OTHER_NUMBER));
    assert_ne!(first["session_id"], second["session_id"], "the same number, release name and call ID");
    assert_eq!((&first["tenant"], &second["tenant"]), (&json!("acme"), &json!("globex")));
    assert_eq!(
        (&first["active_calls"], &second["active_calls"], &second["returning"]),
        (&json!(1), &json!(1), &json!(false))
    );
    acme.set("a", "user", json!({"secret": "acme"}));
    assert_eq!(globex.context("a")["variables"], json!({}));
    acme.end("a");
    assert_eq!(globex.context("a")["active_calls"], 1, "the end at one is no end at the other");
}

#[test]
fn over_http_what_is_foreign_is_answered_like_what_is_not_there() {
    let daemon = Daemon::with(config());
    let (mut acme, _) = edges(&daemon);
    let session = session_id(&acme.ok("call.start", &rpc::start_to("foreign", ANNA, NUMBER)));
    acme.set("foreign", "user", json!({"secret": 1}));
    let mut withheld = rpc::start_to("hidden", ANNA, NUMBER);
    withheld["privacy"] = json!("id");
    let anonymous = session_id(&acme.ok("call.start", &withheld));
    let globex = daemon.http(OTHER_KEY);
    let body = json!({"value": 1});
    let patch = json!({"set": {"secret": {"value": 2}}});
    let level = json!({"level": "app"});
    for (foreign, missing) in [(session.clone(), "00".repeat(32)), (anonymous, format!("anon-{}", "00".repeat(16)))] {
        let of = |id: &str| {
            let path = format!("/v1/sessions/{id}");
            let variable = format!("{path}/variables/secret");
            vec![
                globex.get(&path),
                globex.put(&variable, &body),
                globex.put(&variable, &json!({"value": 1, "call_id": "foreign"})),
                globex.delete(&variable),
                globex.patch(&format!("{path}/variables"), &patch),
            ]
        };
        for (foreign, missing) in of(&foreign).into_iter().zip(of(&missing)) {
            assert_eq!(foreign.problem(), (404, "unknown_session".to_owned()));
            assert_eq!(foreign.text, missing.text);
        }
    }
    let of =
        |id: &str| [globex.get(&format!("/v1/calls/{id}")), globex.put(&format!("/v1/calls/{id}/assurance"), &level)];
    for (foreign, missing) in of("foreign").into_iter().zip(of("missing")) {
        assert_eq!(foreign.problem(), (404, "unknown_call".to_owned()));
        assert_eq!(foreign.text, missing.text);
    }
    for query in ["", "?instance_id=desk", "?call_id=foreign", "?from=a", "?instance_id=desk&call_id=hidden"] {
        assert_eq!(globex.get(&format!("/v1/calls{query}")).ok()["calls"], json!([]), "{query}");
    }
    let looked_up = globex.post("/v1/lookup", &json!({"number": ANNA, "instance_id": "desk"}));
    assert_eq!(looked_up.problem(), (404, "unknown_session".to_owned()));
    let untouched = daemon.http(KEY).get(&format!("/v1/sessions/{session}")).ok();
    assert_eq!(untouched["variables"]["secret"]["value"], 1);
    assert_eq!(untouched["revision"], 1);
    assert_eq!(daemon.http(KEY).get("/v1/calls/foreign").ok()["assurance"], "none");
}

fn refused(watcher: &mut Watcher, operation: &Value) -> Value {
    watcher.send(operation);
    let mut answer = watcher.until("the refusal", |message| message["id"] == operation["id"]);
    assert_eq!(answer["type"], "error", "{answer}");
    answer.as_object_mut().unwrap().remove("id");
    answer
}

#[test]
fn on_the_websocket_what_is_foreign_is_answered_like_what_is_not_there() {
    let daemon = Daemon::with(config());
    let (mut acme, mut globex) = edges(&daemon);
    let session = session_id(&acme.ok("call.start", &rpc::start_to("foreign", ANNA, NUMBER)));
    let missing = "00".repeat(32);
    let mut watcher = daemon.watcher(OTHER_KEY);
    let pairs = [
        (json!({"op": "subscribe", "session_id": session}), json!({"op": "subscribe", "session_id": missing})),
        (json!({"op": "subscribe", "call_id": "foreign"}), json!({"op": "subscribe", "call_id": "missing"})),
        (json!({"op": "get", "session_id": session}), json!({"op": "get", "session_id": missing})),
        (json!({"op": "get", "call_id": "foreign"}), json!({"op": "get", "call_id": "missing"})),
        (
            json!({"op": "set", "session_id": session, "set": {"x": {"value": 1}}}),
            json!({"op": "set", "session_id": missing, "set": {"x": {"value": 1}}}),
        ),
    ];
    for (at, (mut foreign, mut missing)) in pairs.into_iter().enumerate() {
        foreign["id"] = json!(format!("f{at}"));
        missing["id"] = json!(format!("m{at}"));
        let answer = refused(&mut watcher, &foreign);
        assert_eq!(answer, refused(&mut watcher, &missing));
        assert!(answer["reason"].as_str().unwrap().starts_with("unknown_"), "{answer}");
    }

    // The release of the same name is one's own, and its stream holds nothing of the other tenant.
    let (before, _) = watcher.subscribe("all", &json!({"instance_id": "desk"}));
    assert!(before.is_empty(), "{before:?}");
    acme.set("foreign", "session", json!({"secret": 1}));
    acme.ok("call.answer", &json!({"call_id": "foreign"}));
    globex.ok("call.start", &rpc::start_to("own", ANNA, OTHER_NUMBER));
    let first = watcher.until("an event", |message| message["id"] == "all");
    assert_eq!((&first["event"], &first["context"]["call_id"]), (&json!("started"), &json!("own")));
}

#[test]
fn a_cursor_of_one_tenant_is_nothing_to_another() {
    let daemon = Daemon::with(config());
    let (mut acme, mut globex) = edges(&daemon);
    acme.ok("call.start", &rpc::start_to("same", ANNA, NUMBER));
    globex.ok("call.start", &rpc::start_to("same", ANNA, OTHER_NUMBER));
    let mut of_acme = daemon.watcher(KEY);
    for (at, to) in [json!({"instance_id": "desk"}), json!({"call_id": "same"})].into_iter().enumerate() {
        let (_, cursor) = of_acme.subscribe(&format!("a{at}"), &to);
        acme.set("same", "session", json!({"secret": at}));
        let mut from = to.clone();
        from["from"] = json!(cursor);
        let mut of_globex = daemon.watcher(OTHER_KEY);
        let (before, _) = of_globex.subscribe("g", &from);
        let kinds: Vec<_> = before.iter().map(|message| message["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["resync", "snapshot"], "{to}");
        assert_eq!(before[1]["context"]["tenant"], "globex", "{to}");
        assert!(!json!(before).to_string().contains("secret"), "{to}");
    }
    // A call that is over is found by a cursor of its own tenant only.
    let (_, cursor) = of_acme.subscribe("call", &json!({"call_id": "same"}));
    acme.end("same");
    globex.end("same");
    let mut of_globex = daemon.watcher(OTHER_KEY);
    let operation = json!({"op": "subscribe", "id": "g", "call_id": "gone", "from": cursor});
    assert_eq!(refused(&mut of_globex, &operation)["reason"], "unknown_call");
}

#[test]
fn a_switch_reaches_calls_of_its_own_tenants_only() {
    let daemon = Daemon::with(config());
    let (mut acme, mut globex) = edges(&daemon);
    acme.ok("call.start", &rpc::start_to("private", ANNA, NUMBER));
    acme.set("private", "session", json!({"secret": 1}));
    for (method, params) in [
        ("call.ringing", json!({"call_id": "private", "code": 180})),
        ("call.answer", json!({"call_id": "private"})),
        ("call.dtmf", json!({"call_id": "private", "digit": "1", "duration_ms": 80})),
        ("context.get", json!({"call_id": "private"})),
        ("variables.set", json!({"call_id": "private", "set": {"secret": 2}})),
        ("variables.delete", json!({"call_id": "private", "names": ["secret"]})),
    ] {
        assert_eq!(globex.refused(method, &params), "unknown_call", "{method}");
    }
    globex.end("private");
    assert_eq!(globex.refused("call.start", &rpc::start_to("grab", ANNA, NUMBER)), "unknown_release");
    let own = globex.ok("call.start", &rpc::start_to("private", ANNA, OTHER_NUMBER));
    assert_eq!((&own["tenant"], &own["variables"]), (&json!("globex"), &json!({})), "the call ID is free there");
    let untouched = daemon.http(KEY).get("/v1/calls/private").ok();
    assert_eq!((&untouched["state"], &untouched["variables"]["secret"]["value"]), (&json!("started"), &json!(1)));
}

#[test]
fn one_switch_reports_calls_of_several_tenants() {
    let daemon = Daemon::with(config());
    let mut shared = daemon.switch("shared", Framing::Netstring);
    let acme = shared.ok("call.start", &rpc::start_to("a", ANNA, NUMBER));
    let globex = shared.ok("call.start", &rpc::start_to("b", ANNA, OTHER_NUMBER));
    assert_eq!((&acme["tenant"], &globex["tenant"]), (&json!("acme"), &json!("globex")));
    assert_ne!(acme["session_id"], globex["session_id"]);
    shared.set("a", "user", json!({"of": "acme"}));
    shared.set("b", "user", json!({"of": "globex"}));
    assert_eq!(shared.context("a")["variables"], json!({"of": "acme"}));
    assert_eq!(daemon.http(OTHER_KEY).get("/v1/calls/b").ok()["variables"]["of"]["value"], "globex");
    assert_eq!(daemon.http(OTHER_KEY).get("/v1/calls/a").status, 404);
    // Both have a release of this name: the called number decides.
    let mut named = rpc::start_to("c", ANNA, OTHER_NUMBER);
    named["instance_id"] = json!("desk");
    assert_eq!(shared.ok("call.start", &named)["tenant"], "globex");
    named = rpc::start_to("d", ANNA, "tel:+12025550199");
    named["instance_id"] = json!("desk");
    assert_eq!(shared.refused("call.start", &named), "unknown_release");
    for call in ["a", "b", "c"] {
        shared.end(call);
    }
    assert_eq!(daemon.http(KEY).get("/v1/calls").ok()["calls"], json!([]));
}

#[test]
fn a_call_id_that_two_tenants_share_means_the_call_that_this_switch_has_reported() {
    let daemon = Daemon::with(config());
    let (mut acme, mut globex) = edges(&daemon);
    let mut shared = daemon.switch("shared", Framing::Netstring);
    // Each switch has its own call `x` or `y`, at the tenant that is not the first and at the one that is.
    for (call, foreign, foreign_number, own_number, own) in
        [("x", &mut acme, NUMBER, OTHER_NUMBER, "globex"), ("y", &mut globex, OTHER_NUMBER, NUMBER, "acme")]
    {
        foreign.ok("call.start", &rpc::start_to(call, ANNA, foreign_number));
        foreign.set(call, "session", json!({"of": "foreign"}));
        let answers = shared.pipeline([
            ("call.start", rpc::start_to(call, ANNA, own_number)),
            ("variables.set", json!({"call_id": call, "set": {"of": "shared"}, "lifetime": "session"})),
            ("call.answer", json!({"call_id": call})),
            ("context.get", json!({"call_id": call})),
        ]);
        let answers: Vec<Value> = answers.into_iter().map(Result::unwrap).collect();
        assert_eq!((&answers[0]["tenant"], &answers[3]["tenant"]), (&json!(own), &json!(own)));
        let context = shared.context(call);
        assert_eq!((&context["tenant"], &context["variables"]["of"]), (&json!(own), &json!("shared")));
        shared.end(call);
        // What comes late is not about the call of somebody else.
        for (method, params) in [
            ("context.get", json!({"call_id": call})),
            ("call.answer", json!({"call_id": call})),
            ("variables.set", json!({"call_id": call, "set": {"of": "late"}})),
        ] {
            assert_eq!(shared.refused(method, &params), "unknown_call", "{method}");
        }
        shared.end(call);
        let untouched = foreign.context(call);
        assert_eq!((&untouched["active_calls"], &untouched["variables"]["of"]), (&json!(1), &json!("foreign")));
    }
    assert_eq!(daemon.http(KEY).get("/v1/calls/x").ok()["state"], "started");
}

#[test]
fn a_switch_uses_a_call_id_for_one_of_its_tenants_at_a_time() {
    let daemon = Daemon::with(config());
    let mut shared = daemon.switch("shared", Framing::Netstring);
    shared.ok("call.start", &rpc::start_to("a", ANNA, NUMBER));
    assert_eq!(shared.refused("call.start", &rpc::start_to("a", ANNA, OTHER_NUMBER)), "call_id_in_use");
    let again = shared.ok("call.start", &rpc::start_to("a", ANNA, NUMBER));
    assert_eq!((&again["tenant"], &again["active_calls"]), (&json!("acme"), &json!(1)));
    shared.end("a");
    assert_eq!(shared.ok("call.start", &rpc::start_to("a", ANNA, OTHER_NUMBER))["tenant"], "globex");
    // Also of two that are on their way together one is refused.
    let two =
        [("call.start", rpc::start_to("b", ANNA, NUMBER)), ("call.start", rpc::start_to("b", ANNA, OTHER_NUMBER))];
    let answers = shared.pipeline(two);
    assert_eq!(answers[0].as_ref().unwrap()["tenant"], "acme");
    assert_eq!(answers[1].as_ref().unwrap_err().reason, "call_id_in_use");
}

#[test]
fn a_tenant_that_is_removed_keeps_what_is_stored_and_the_operator_is_told() {
    let mut daemon = Daemon::with(config());
    let (mut acme, mut globex) = edges(&daemon);
    let context = globex.ok("call.start", &rpc::start_to("g", ANNA, OTHER_NUMBER));
    globex.set("g", "session", json!({"ticket": 1}));
    globex.set("g", "user", json!({"language": "en"}));
    globex.end("g");
    for call in ["up", "up-over-the-restart"] {
        globex.ok("call.start", &rpc::start_to(call, "+442079460124", OTHER_NUMBER));
    }
    let warnings = |daemon: &Daemon| daemon.recalld(&["status", "--json"]).json()["warnings"].to_string();
    assert!(!warnings(&daemon).contains("globex"));

    let before = config();
    daemon.configure(|config| {
        let second = config.tenants.rfind("[[tenant]]").unwrap();
        config.tenants.truncate(second);
        config.switches[1].lines = config.switches[0].lines.clone();
        config.switches[2].lines = config.switches[0].lines.clone();
    });
    daemon.signal(Signal::HUP);
    wait::until("the alarm in status", || warnings(&daemon).contains("tenant `globex` is not configured any more"));
    wait::until("the alarm in the log", || daemon.log().contains("tenant=globex"));
    assert_eq!(daemon.http(OTHER_KEY).get("/v1/calls").status, 401, "its keys are gone");
    assert_eq!(globex.refused("call.start", &rpc::start_to("x", ANNA, OTHER_NUMBER)), "unknown_release");
    assert_eq!(acme.ok("call.start", &rpc::start_to("a", ANNA, NUMBER))["tenant"], "acme", "others go on");
    let active = |daemon: &Daemon| daemon.recalld(&["status", "--json"]).json()["active_calls"].clone();
    assert_eq!(active(&daemon), 3);
    globex.end("up");
    wait::until("a call that was up ends", || active(&daemon) == 2);

    daemon.terminate();
    daemon.restart();
    assert!(warnings(&daemon).contains("globex"), "after a restart, too");
    daemon.switch("edge-2", Framing::Netstring).end("up-over-the-restart");
    wait::until("a call that was up over the restart ends", || active(&daemon) == 1);
    daemon.configure(|config| *config = before);
    daemon.signal(Signal::HUP);
    wait::until("the tenant is back", || daemon.http(OTHER_KEY).get("/v1/calls").status == 200);
    let kept = daemon.http(OTHER_KEY).get(&format!("/v1/sessions/{}", session_id(&context))).ok();
    assert_eq!(
        (&kept["variables"]["ticket"]["value"], &kept["variables"]["language"]["value"]),
        (&json!(1), &json!("en"))
    );
    let again = daemon.switch("edge-2", Framing::Netstring).ok("call.start", &rpc::start_to("h", ANNA, OTHER_NUMBER));
    assert_eq!((&again["session_id"], &again["returning"]), (&context["session_id"], &json!(true)));
}
