//! Caller ID is context, not authentication (PRODUCT.md 3.5): what a release demands, and the voice app's word.

use serde_json::{Value, json};

use super::support::config::api_key;
use super::support::{Config, Daemon, KEY};
use super::{ANNA, session_id, variable};

const PLAIN: &str = "rk_plain";

/// The release demands the voice app's word for `account`.
fn daemon() -> Daemon {
    let mut config = Config::default();
    let numbers = "numbers = [\"+493023125000\", \"+4930231251*\"]\n";
    assert!(config.tenants.contains(numbers));
    config.tenants =
        config.tenants.replace(numbers, &format!("{numbers}min_assurance_for = {{ account = \"app\" }}\n"));
    let second = config.tenants.rfind("[[tenant]]").expect("there are two tenants");
    let key = api_key("plain", PLAIN, r#"["context:read", "context:write", "assurance:assert"]"#);
    config.tenants.insert_str(second, &key);
    Daemon::with(config)
}

#[test]
fn a_user_variable_is_withheld_until_the_app_has_vouched_for_the_caller() {
    let daemon = daemon();
    let session = session_id(&daemon.edge().start("a", ANNA));
    let http = daemon.http(PLAIN);
    let path = variable(&session, "account");
    let refused = (403, "assurance_too_low".to_owned());
    let user = json!({"value": 4711, "lifetime": "user"});
    let for_call = json!({"value": 4711, "lifetime": "user", "call_id": "a"});
    assert_eq!(http.put(&path, &user).problem(), refused);
    assert_eq!(http.put(&path, &for_call).problem(), refused);

    for bad in [json!({"level": "attested-a"}), json!({"level": "none"}), json!({}), json!({"level": "app", "x": 1})] {
        assert_eq!(http.put("/v1/calls/a/assurance", &bad).problem(), (400, "invalid_params".to_owned()), "{bad}");
    }
    let vouched = http.put("/v1/calls/a/assurance", &json!({"level": "app"})).ok();
    assert_eq!(vouched["assurance"], "app");
    assert_eq!(http.put(&path, &for_call).ok(), json!({"revision": 1}));
    assert_eq!(http.put(&path, &user).problem(), refused, "this request names no call");

    let of_call = http.get("/v1/calls/a").ok();
    assert_eq!((&of_call["variables"]["account"]["value"], &of_call["withheld"]), (&json!(4711), &json!([])));
    let of_session = http.get(&format!("/v1/sessions/{session}")).ok();
    assert_eq!((&of_session["variables"]["account"], &of_session["withheld"]), (&Value::Null, &json!(["account"])));
    let trusted = daemon.http(KEY).get(&format!("/v1/sessions/{session}")).ok();
    assert_eq!(trusted["variables"]["account"]["value"], 4711);

    daemon.edge().end("a");
    let unknown = http.put("/v1/calls/a/assurance", &json!({"level": "app"}));
    assert_eq!(unknown.problem(), (404, "unknown_call".to_owned()));
}
