//! Caller ID is context, not authentication (PRODUCT.md 3.5): what a release demands holds on the switch's link, over
//! HTTP and on the WebSocket alike.

use serde_json::{Value, json};

use super::support::config::api_key;
use super::support::{Config, Daemon, Framing, KEY, Rpc, Switch, rpc};
use super::{ANNA, PLAIN, session_id};

/// `strict` demands `trunk` of all user variables and the voice app's word for `account`; `edge-2` is not trusted.
fn config() -> Config {
    let tenants = [
        "[[tenant]]\nid = \"acme\"\n",
        "[[tenant.release]]\ninstance_id = \"strict\"\ngeneration = \"phone2\"\nnumbers = [\"+493023125000\"]\n",
        "min_assurance = \"trunk\"\nmin_assurance_for = { account = \"app\", language = \"none\", limit = \"attested-b\" }\n",
        &api_key("bot", KEY, super::support::config::ALL_SCOPES),
        &api_key("plain", PLAIN, r#"["context:read", "context:write", "assurance:assert", "calls:watch"]"#),
    ];
    Config::default()
        .tenants(&tenants.concat())
        .switches([Switch::trusted("edge-1"), Switch::new("edge-2", "tenant = \"acme\"\nregion = \"DE\"\n")])
}

/// A call of Anna, who is asserted.
fn asserted(call: &str, verstat: Option<&str>) -> Value {
    let mut start = rpc::start(call, ANNA);
    start["pai"] = json!([format!("<tel:{ANNA}>")]);
    if let Some(verstat) = verstat {
        start["verstat"] = json!(verstat);
    }
    start
}

/// Writes all four variables as a trusted key can.
fn fill(daemon: &Daemon, session: &str) {
    let set = |value: i32| json!({"value": value, "lifetime": "user"});
    let all = json!({"set": {"account": set(1), "limit": set(2), "name": set(3), "language": set(4)}});
    daemon.http(KEY).patch(&format!("/v1/sessions/{session}/variables"), &all).ok();
}

fn names(context: &Value) -> Vec<String> {
    context["variables"].as_object().expect("variables").keys().cloned().collect()
}

#[test]
fn the_assurance_of_a_call_follows_from_trunk_and_verstat() {
    let daemon = Daemon::with(config());
    let (mut trusted, mut open) = (daemon.edge(), daemon.switch("edge-2", Framing::Netstring));
    for (at, (verstat, assurance)) in [
        (None, "trunk"),
        (Some("No-TN-Validation"), "trunk"),
        (Some("something else"), "trunk"),
        (Some("TN-Validation-Passed-A"), "attested-a"),
        (Some("tn-validation-passed-a"), "attested-a"),
        (Some("TN-Validation-Passed"), "attested-b"),
        (Some("TN-Validation-Passed-B"), "attested-b"),
        (Some("TN-Validation-Passed-C"), "trunk"),
        (Some("TN-Validation-Failed"), "none"),
        (Some("TN-Validation-Failed-A"), "none"),
    ]
    .into_iter()
    .enumerate()
    {
        let context = trusted.ok("call.start", &asserted(&format!("t-{at}"), verstat));
        assert_eq!(context["assurance"], assurance, "{verstat:?}");
        let context = open.ok("call.start", &asserted(&format!("o-{at}"), verstat));
        assert_eq!(context["assurance"], "none", "{verstat:?} of a switch that is not trusted");
    }
    assert_eq!(trusted.start("from", ANNA)["assurance"], "none", "From alone");
}

#[test]
fn a_switch_sees_and_writes_what_the_call_is_good_for() {
    let daemon = Daemon::with(config());
    let (mut trusted, mut open) = (daemon.edge(), daemon.switch("edge-2", Framing::Netstring));
    let session = session_id(&trusted.ok("call.start", &asserted("trunk", None)));
    fill(&daemon, &session);
    open.start("weak", ANNA);
    trusted.ok("call.start", &asserted("attested", Some("TN-Validation-Passed-B")));
    let seen = |edge: &mut Rpc, call: &str| {
        let context = edge.context(call);
        (names(&context), context["withheld"].clone())
    };
    assert_eq!(seen(&mut open, "weak"), (vec!["language".to_owned()], json!(["account", "limit", "name"])));
    assert_eq!(
        seen(&mut trusted, "trunk"),
        (vec!["language".to_owned(), "name".to_owned()], json!(["account", "limit"]))
    );
    let attested = seen(&mut trusted, "attested");
    assert_eq!(attested, (["language", "limit", "name"].map(str::to_owned).to_vec(), json!(["account"])));

    let set = |call: &str, name: &str| json!({"call_id": call, "lifetime": "user", "set": {name: 9}});
    let too_low = "assurance_too_low";
    assert_eq!(open.refused("variables.set", &set("weak", "name")), too_low);
    assert_eq!(open.refused("variables.set", &set("weak", "new")), too_low, "one that is not there yet");
    assert_eq!(open.refused("variables.delete", &json!({"call_id": "weak", "names": ["name"]})), too_low);
    let both = json!({"call_id": "weak", "set": {"language": 8, "name": 9}});
    assert_eq!(open.refused("variables.set", &both), too_low, "all or nothing");
    open.ok("variables.set", &set("weak", "language"));
    let session_variable = json!({"call_id": "weak", "lifetime": "session", "set": {"ticket": 1}});
    open.ok("variables.set", &session_variable);
    assert_eq!(trusted.refused("variables.set", &set("trunk", "limit")), too_low);
    trusted.ok("variables.set", &set("trunk", "name"));
    trusted.ok("variables.set", &set("attested", "limit"));
    assert_eq!(trusted.refused("variables.set", &set("attested", "account")), too_low);

    daemon.http(PLAIN).put("/v1/calls/attested/assurance", &json!({"level": "app"})).ok();
    trusted.ok("variables.set", &set("attested", "account"));
    let all = trusted.context("attested");
    assert_eq!((&all["assurance"], all.get("withheld")), (&json!("app"), None));
    assert_eq!(all["variables"], json!({"account": 9, "language": 9, "limit": 9, "name": 9, "ticket": 1}));
    assert_eq!(seen(&mut trusted, "trunk").1, json!(["account", "limit"]), "the word is for one call");
}

#[test]
fn over_http_a_request_counts_as_its_call_and_without_one_as_none() {
    let daemon = Daemon::with(config());
    let mut trusted = daemon.edge();
    let session = session_id(&trusted.ok("call.start", &asserted("trunk", None)));
    fill(&daemon, &session);
    let (plain, with_trust) = (daemon.http(PLAIN), daemon.http(KEY));
    let of_session = format!("/v1/sessions/{session}");
    let seen = |context: &Value| (names(context), context["withheld"].clone());
    let none = (vec!["language".to_owned()], json!(["account", "limit", "name"]));
    let trunk = (vec!["language".to_owned(), "name".to_owned()], json!(["account", "limit"]));
    assert_eq!(seen(&plain.get(&of_session).ok()), none);
    assert_eq!(seen(&plain.get("/v1/calls/trunk").ok()), trunk);
    assert_eq!(names(&with_trust.get(&of_session).ok()).len(), 4, "context:trusted");
    assert_eq!(seen(&with_trust.get("/v1/calls/trunk").ok()), trunk, "a named call counts");

    let refused = (403, "assurance_too_low".to_owned());
    let variable = |name: &str| format!("{of_session}/variables/{name}");
    let (bare, for_call) = (json!({"value": 5, "lifetime": "user"}), json!({"value": 5, "call_id": "trunk"}));
    assert_eq!(plain.put(&variable("name"), &bare).problem(), refused);
    assert_eq!(plain.put(&variable("new"), &bare).problem(), refused);
    assert_eq!(plain.delete(&variable("name")).problem(), refused);
    plain.put(&variable("name"), &for_call).ok();
    assert_eq!(plain.put(&variable("limit"), &for_call).problem(), refused);
    let patch = |call: Value| json!({"set": {"name": {"value": 6}}, "delete": ["limit"], "call_id": call});
    assert_eq!(plain.patch(&format!("{of_session}/variables"), &patch(json!("trunk"))).problem(), refused);
    assert_eq!(with_trust.get(&of_session).ok()["variables"]["name"]["value"], 5, "nothing of it happened");
    with_trust.patch(&format!("{of_session}/variables"), &patch(Value::Null)).ok();
    plain.delete(&format!("{}?call_id=trunk", variable("name"))).ok();
    let looked_up = with_trust.post("/v1/lookup", &json!({"number": ANNA, "instance_id": "strict"})).ok();
    assert_eq!(names(&looked_up), ["account", "language"]);
}

#[test]
fn on_the_websocket_the_same_holds_for_reads_writes_and_changes() {
    let daemon = Daemon::with(config());
    let mut trusted = daemon.edge();
    let session = session_id(&trusted.ok("call.start", &asserted("trunk", None)));
    fill(&daemon, &session);
    let mut watcher = daemon.watcher(PLAIN);
    let (before, _) = watcher.subscribe("s", &json!({"session_id": session}));
    assert_eq!(before[0]["context"]["withheld"], json!(["account", "limit", "name"]));
    let (before, _) = watcher.subscribe("r", &json!({"instance_id": "strict"}));
    assert_eq!(before[0]["context"]["withheld"], json!(["account", "limit"]));

    let mut ask = |operation: Value| {
        watcher.send(&operation);
        watcher.until("the answer", |message| message["id"] == operation["id"])
    };
    let got = ask(json!({"op": "get", "id": "1", "session_id": session}));
    assert_eq!(got["context"]["withheld"], json!(["account", "limit", "name"]));
    let got = ask(json!({"op": "get", "id": "2", "call_id": "trunk"}));
    assert_eq!(got["context"]["withheld"], json!(["account", "limit"]));
    let set = |id: &str, name: &str, call: Value| {
        let set = json!({name: {"value": "new", "lifetime": "user"}});
        json!({"op": "set", "id": id, "session_id": session, "set": set, "call_id": call})
    };
    assert_eq!(ask(set("3", "name", Value::Null))["reason"], "assurance_too_low");
    assert_eq!(ask(set("4", "limit", json!("trunk")))["reason"], "assurance_too_low");
    assert_eq!(ask(set("5", "name", json!("trunk")))["type"], "result");

    // A change that the holder could not read comes without its value.
    let mut changes = daemon.watcher(PLAIN);
    changes.subscribe("s", &json!({"session_id": session}));
    changes.subscribe("r", &json!({"instance_id": "strict"}));
    daemon.http(KEY).put(&format!("/v1/sessions/{session}/variables/name"), &json!({"value": "secret"})).ok();
    let mut told = std::collections::BTreeMap::new();
    while told.len() < 2 {
        let change = changes.until("the change", |message| message["type"] == "change");
        told.insert(change["id"].as_str().unwrap().to_owned(), change);
    }
    let (of_session, of_release) = (&told["s"], &told["r"]);
    assert!(!of_session.to_string().contains("secret"), "no call is named: {of_session}");
    assert_eq!(of_release["variable"]["value"], "secret", "its call has the assurance: {of_release}");
}
