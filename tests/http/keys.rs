//! Who is let in, and to what.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::support::config::api_key;
use super::support::{Config, Daemon, KEY, OTHER_KEY, wait};
use super::{ANNA, BERT, session_id, variable};

const READER: &str = "rk_reader";
const WALLBOARD: &str = "rk_wallboard";
const SALES: &str = "rk_sales";

/// Tenant `acme` with three more keys: one that reads, one that lists calls, one for another release.
fn daemon() -> Daemon {
    let mut config = Config::default();
    let keys = [
        api_key("reader", READER, r#"["context:read"]"#),
        api_key("wallboard", WALLBOARD, r#"["calls:watch"]"#),
        api_key("sales", SALES, r#"["context:read", "context:write", "calls:watch"]"#) + "releases = [\"sales-us\"]\n",
    ];
    let second = config.tenants.rfind("[[tenant]]").expect("there are two tenants");
    config.tenants.insert_str(second, &keys.concat());
    Daemon::with(config)
}

#[test]
fn without_a_known_key_nothing_is_answered() {
    let daemon = daemon();
    for key in ["", "rk_unknown", &KEY[..KEY.len() - 1]] {
        for path in ["/v1/calls", "/v1/calls/a", "/v1/sessions/a", "/v1/watch"] {
            let answer = daemon.http(key).get(path);
            assert_eq!(answer.problem(), (401, "unauthorized".to_owned()), "{key} {path}");
            assert!(answer.header("www-authenticate").starts_with("Bearer"));
        }
    }
}

#[test]
fn a_key_does_what_its_scopes_say() {
    let daemon = daemon();
    let context = daemon.edge().start("a@192.0.2.7", ANNA);
    daemon.edge().set("a@192.0.2.7", "session", json!({"ticket": 1}));
    let session = session_id(&context);
    let refused = (403, "not_allowed".to_owned());
    let body = json!({"value": 1});

    let reader = daemon.http(READER);
    assert_eq!(reader.get(&format!("/v1/sessions/{session}")).ok()["variables"]["ticket"]["value"], 1);
    assert_eq!(reader.put(&variable(&session, "x"), &body).problem(), refused);
    assert_eq!(reader.delete(&variable(&session, "x")).problem(), refused);
    assert_eq!(reader.patch(&format!("/v1/sessions/{session}/variables"), &json!({})).problem(), refused);
    assert_eq!(reader.get("/v1/calls").problem(), refused);
    assert_eq!(reader.put("/v1/calls/a@192.0.2.7/assurance", &json!({"level": "app"})).problem(), refused);

    let wallboard = daemon.http(WALLBOARD);
    let calls = wallboard.get("/v1/calls").ok();
    assert_eq!(calls["calls"][0]["call_id"], "a@192.0.2.7");
    assert!(calls["calls"][0].get("variables").is_none());
    assert_eq!(wallboard.get(&format!("/v1/sessions/{session}")).problem(), refused);
    assert_eq!(wallboard.get("/v1/calls/a@192.0.2.7").problem(), refused);
}

#[test]
fn what_belongs_to_another_tenant_or_release_looks_like_what_is_not_there() {
    let daemon = daemon();
    let context = daemon.edge().start("a@192.0.2.7", ANNA);
    let session = session_id(&context);
    let unknown = "00".repeat(32);
    for key in [OTHER_KEY, SALES] {
        let http = daemon.http(key);
        let pairs = [
            (format!("/v1/sessions/{session}"), format!("/v1/sessions/{unknown}"), "unknown_session"),
            ("/v1/calls/a@192.0.2.7".to_owned(), "/v1/calls/none@192.0.2.7".to_owned(), "unknown_call"),
        ];
        for (foreign, missing, reason) in pairs {
            let (foreign, missing) = (http.get(&foreign), http.get(&missing));
            assert_eq!(foreign.problem(), (404, reason.to_owned()));
            assert_eq!(foreign.text, missing.text);
        }
        let body = json!({"value": 1});
        let (foreign, missing) = (http.put(&variable(&session, "x"), &body), http.put(&variable(&unknown, "x"), &body));
        assert_eq!(foreign.problem(), (404, "unknown_session".to_owned()));
        assert_eq!(foreign.text, missing.text);
        assert_eq!(http.get("/v1/calls").ok()["calls"], json!([]));
        assert_eq!(http.get("/v1/calls?call_id=a@192.0.2.7").ok()["calls"], json!([]));
        let (foreign, missing) =
            (http.get("/v1/calls?instance_id=support-de"), http.get("/v1/calls?instance_id=nothing"));
        assert_eq!(foreign.problem(), (404, "unknown_release".to_owned()));
        assert_eq!(foreign.text, missing.text);
    }
    let untouched = daemon.http(KEY).get(&format!("/v1/sessions/{session}")).ok();
    assert_eq!(untouched["variables"], json!({}));
}

#[test]
fn the_number_is_masked_without_its_scope() {
    let daemon = daemon();
    let context = daemon.edge().start("a@192.0.2.7", ANNA);
    let plain = daemon.http(KEY).get("/v1/calls/a@192.0.2.7").ok();
    assert_eq!(plain["number"], ANNA);
    let reader = daemon.http(READER);
    for path in ["/v1/calls/a@192.0.2.7".to_owned(), format!("/v1/sessions/{}", session_id(&context))] {
        let answer = reader.get(&path);
        assert_eq!(answer.json()["number"], "+49••••••••01", "{path}");
        assert!(!answer.text.contains(&ANNA[3..]), "{path}");
        assert_eq!(answer.json().get("display"), None);
    }
    assert!(!daemon.log().contains(&ANNA[3..]), "no number is logged");
    daemon.edge().end("a@192.0.2.7");
    assert_eq!(daemon.http(KEY).get("/v1/calls/a@192.0.2.7").ok()["number"], Value::Null);
}

#[test]
fn a_reload_lets_keys_in_and_shuts_them_out() {
    let mut daemon = daemon();
    let context = daemon.edge().start("b@192.0.2.7", BERT);
    let path = format!("/v1/sessions/{}", session_id(&context));
    assert_eq!(daemon.http(READER).get(&path).status, 200);
    daemon.configure(|config| {
        let old = api_key("reader", READER, r#"["context:read"]"#);
        let new = api_key("reader", "rk_new_reader", r#"["context:read"]"#);
        config.tenants = config.tenants.replace(&old, &new);
    });
    daemon.signal(Signal::HUP);
    wait::until("the new key is let in", || daemon.http("rk_new_reader").get(&path).status == 200);
    assert_eq!(daemon.http(READER).get(&path).problem(), (401, "unauthorized".to_owned()));
}
