use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// The example of PRODUCT.md 8.
const EXAMPLE: &str = r#"
[data]
path = "/var/lib/recalld"

[keys]
root = "/run/credentials/recalld.service/root.key"

[api]
listen = "127.0.0.1:8070"

[admin]
listen = "127.0.0.1:9072"
socket = "/run/recalld/recalld.sock"

[[tenant]]
id = "acme"
session_retention = "30d"

[[tenant.release]]
instance_id = "support-de"
generation = "phone2"
numbers = ["+493023125000", "+4930231251*"]

[[tenant.api_key]]
name = "bot"
sha256 = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
scopes = ["context:read", "context:write", "calls:watch"]

[[switch]]
name = "edge-1"
protocol = "jsonrpc"
listen = "127.0.0.1:9070"
allow = ["127.0.0.0/8"]
tenant = "acme"
trust_identity = true
region = "DE"
"#;

fn example() -> Config {
    Config::parse(EXAMPLE).unwrap()
}

/// The fault of the example with one place changed.
fn fault(from: &str, to: &str) -> ConfigError {
    assert!(EXAMPLE.contains(from), "{from}");
    first_fault(&EXAMPLE.replacen(from, to, 1))
}

fn first_fault(text: &str) -> ConfigError {
    Config::parse(text).unwrap_err().first().clone()
}

fn rules(config: &Config) -> Rules {
    config.rules(&"acme".parse().unwrap(), &"support-de".parse().unwrap()).unwrap()
}

#[test]
fn the_example_of_the_contract_is_accepted() {
    let config = example();
    assert_eq!(config.switches[0].domain, "edge-1");
    assert_eq!(config.switches[0].expose, None);
    assert_eq!(rules(&config).session_retention, Duration::from_secs(30 * 86_400));
    assert!(config.tenants[0].api_keys[0].scopes.has(Scope::CallsWatch));
    assert!(!config.tenants[0].api_keys[0].scopes.has(Scope::NumberReveal));
    assert_eq!(config.warnings(), Vec::<String>::new());
}

#[test]
fn an_empty_file_is_the_defaults() {
    let config = Config::parse("").unwrap();
    assert_eq!((&config.data, &config.keys, &config.api), (&Data::default(), &Keys::default(), &Api::default()));
    assert_eq!((&config.admin, &config.limits), (&Admin::default(), &Limits::default()));
}

#[test]
fn an_unknown_key_names_line_column_and_the_likely_meant_key() {
    let error = fault("trust_identity = true", "trust_identiy = true");
    assert_eq!((error.line, error.column), (35, 1), "{error}");
    assert_eq!(error.message, "unknown key `trust_identiy`: did you mean `trust_identity`?");
    assert!(error.known_keys.contains(&"max_answer".to_owned()));

    let error = fault("[api]", "[apis]");
    assert!(error.message.contains("did you mean `api`?"), "{error}");

    let error = fault("listen = \"127.0.0.1:8070\"", "listen = \"127.0.0.1:8070\"\nxyzzy = 1");
    assert_eq!((error.line, error.column), (10, 1), "{error}");
    assert!(error.message.contains("the keys here are listen, tls_cert"), "{error}");
}

#[test]
fn every_fault_names_its_line_and_what_to_write() {
    let cases = [
        ("\"30d\"", "\"30 days\"", 17, "not a duration"),
        ("\"30d\"", "\"30s\"", 17, "out of range: write a value from 1m to 3653d"),
        ("\"30d\"", "30", 17, "wrong type"),
        ("\"phone2\"", "\"phone3\"", 21, "did you mean"),
        ("generation = \"phone2\"", "", 19, "`generation` is missing"),
        ("\"+493023125000\"", "\"030 23125000\"", 22, "not a number of a release"),
        ("\"+493023125000\"", "\"+4930231251*\"", 22, "claimed by the release `support-de`"),
        ("00112233445566778899aabbccddeeff\"", "\"", 26, "64 hex digits"),
        ("[\"context:read\", \"context:write\", \"calls:watch\"]", "[]", 27, "name at least one"),
        ("\"calls:watch\"", "\"call:watch\"", 27, "did you mean \"calls:watch\"?"),
        ("\"jsonrpc\"", "\"fastagi\"", 31, "not available in this version"),
        ("\"127.0.0.1:9070\"", "\"localhost:9070\"", 32, "not an address"),
        ("\"127.0.0.1:9070\"", "\"0.0.0.0:8070\"", 32, "taken by another listener"),
        ("listen = \"127.0.0.1:9070\"", "", 29, "needs `listen`"),
        ("\"127.0.0.0/8\"", "\"127.0.0.0/99\"", 33, "not a network"),
        ("tenant = \"acme\"", "tenant = \"acne\"", 34, "did you mean `acme`?"),
        ("tenant = \"acme\"", "tenants = []", 34, "names no tenant"),
        ("tenant = \"acme\"", "tenants = [\"acme\", \"acme\"]", 34, "listed twice"),
        ("tenant = \"acme\"", "tenant = \"acme\"\ntenants = [\"acme\"]", 35, "either `tenant` or `tenants`"),
        ("tenant = \"acme\"", "", 29, "needs `tenant`"),
        ("\"DE\"", "\"Germany\"", 36, "not a region"),
        ("region = \"DE\"", "region = \"DE\"\nsecret = \"x\"", 37, "not used by the protocol"),
        ("region = \"DE\"", "region = \"DE\"\ntls_cert = \"x\"", 37, "TLS is not available"),
        ("region = \"DE\"", "region = \"DE\"\nexpose = [\"a\", \"a\"]", 37, "listed twice"),
        ("region = \"DE\"", "region = \"DE\"\nmax_answer = 3", 37, "from 1KiB to 16MiB"),
        ("[admin]", "tls_key = \"x\"\n[admin]", 11, "TLS is not available"),
        ("[[tenant]]", "[limits]\nvalue = \"1MiB\"\n[[tenant]]", 16, "larger than limits.session_bytes"),
        ("[[tenant]]", "[limits]\nframe = \"4GiB\"\n[[tenant]]", 16, "from 1KiB to 16MiB"),
        ("[[tenant]]", "[privacy]\nerase_within = \"1h\"\n[[tenant]]", 16, "half of privacy.erase_within"),
        ("path = \"/var/lib/recalld\"", "path = \"\"", 3, "not a path"),
    ];
    for (from, to, line, text) in cases {
        let error = fault(from, to);
        assert!(error.message.contains(text), "{to}: {error}");
        assert_eq!(error.line, line, "{to}: {error}");
    }
}

/// The faults of a text, each as `line:column message`.
fn faults(text: &str) -> Vec<String> {
    let told = |error: &ConfigError| format!("{}:{} {}", error.line, error.column, error.message);
    Config::parse(text).unwrap_err().iter().map(told).collect()
}

#[test]
fn all_faults_are_told_in_the_order_of_the_file() {
    let text = r#"
[data]
pth = "/var/lib/recalld"
log_window = "1 hour"
[privacy]
erase_within = 5
[limits]
frame = "1GiB"
variables = "many"
[[tenant]]
id = "acme"
[[tenant.release]]
instance_id = "support-de"
generation = "phone3"
numbers = ["+493023125000", "03 0", "+493023125000", 5]
min_assurance_for = { "a b" = "trunk", pin = "trunc" }
[[tenant.api_key]]
name = "bot"
sha256 = "00"
scopes = ["context:reed", "context:write"]
releases = ["support-de", "sales"]
[[switch]]
name = "edge-1"
protocol = "jsonrpc"
listen = "127.0.0.1:8070"
tenant = "acne"
trust_identity = "yes"
regoin = "DE"
"#;
    let expected = [
        "3:1 unknown key `pth`: did you mean `path`?",
        "4:14 not a duration",
        "6:16 a value of the wrong type (integer): expected a text in quotes",
        "8:9 out of range",
        "9:13 a value of the wrong type (string): expected a whole number",
        "14:14 not a word that is known here: did you mean \"phone2\"?",
        "15:29 not a number of a release",
        "15:37 this number is claimed by the release `support-de` already",
        "15:54 a value of the wrong type (integer): expected a text in quotes",
        "16:23 a variable's name",
        "16:46 not a word that is known here: did you mean \"trunk\"?",
        "19:10 not a SHA-256 value",
        "20:11 not a word that is known here: did you mean \"context:read\"?",
        "21:27 this tenant has no release `sales`",
        "25:10 127.0.0.1:8070 is taken by another listener",
        "26:10 there is no tenant `acne` in this file: did you mean `acme`?",
        "27:18 a value of the wrong type (string): expected a boolean",
        "28:1 unknown key `regoin`: did you mean `region`?",
    ];
    let told = faults(text);
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}\nis not\n{expected}");
    }
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    let error = Config::parse(text).unwrap_err().to_string();
    assert!(
        error.starts_with("line 3, column 1: ") && error.ends_with("(and 17 more errors, which `recalld check` tells)")
    );
}

#[test]
fn what_only_follows_from_another_fault_is_not_told() {
    for (from, to) in [
        // The key is meant by the unknown one, so it is not missing.
        ("instance_id = ", "instanceid = "),
        ("tenant = \"acme\"", "tennant = \"acme\""),
        ("listen = \"127.0.0.1:9070\"", "lisen = \"127.0.0.1:9070\""),
        // It cannot be told what is named.
        ("id = \"acme\"", "id = 5"),
        ("id = \"acme\"", "idd = \"acme\""),
        ("instance_id = \"support-de\"", "instance_id = 5"),
        ("[[tenant.release]]\ninstance_id = \"support-de\"\ngeneration = \"phone2\"\nnumbers", "release = 5\n#"),
        ("\"context:read\", \"context:write\", \"calls:watch\"", "1"),
        ("tenant = \"acme\"", "tenants = [5]"),
        // Nor what it would be compared with.
        ("listen = \"127.0.0.1:8070\"", "listen = \"9070\""),
        ("path = \"/var/lib/recalld\"", "log_window = \"13h\"\n[privacy]\nerase_within = \"2 days\""),
        ("[keys]", "[limits]\nvalue = \"512KiB\"\nsession_bytes = \"1 MiB\"\nframe = \"1MiB\"\n[keys]"),
        ("generation = \"phone2\"", "generation = \"phone3\""),
    ] {
        let text = EXAMPLE.replacen("scopes = [", "releases = [\"support-de\"]\nscopes = [", 1);
        assert!(text.contains(from), "{from}");
        let told = faults(&text.replacen(from, to, 1));
        assert_eq!(told.len(), 1, "{to}: {told:#?}");
    }
}

#[test]
fn a_text_that_is_no_toml_is_told_alone() {
    let told = faults("[data\npth = 1\n[api]\nlisen = 1\n");
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].starts_with("1:"), "{told:#?}");
}

#[test]
fn names_are_unique_where_they_must_be() {
    let again = |table: &str| {
        let text = format!("{EXAMPLE}\n{table}");
        Config::parse(&text).map(|_| ()).map_err(|errors| errors.first().message.clone())
    };
    let release = "instance_id = \"sales\"\ngeneration = \"phone1\"";
    let key =
        "sha256 = \"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"\nscopes = [\"context:read\"]";
    assert!(again("[[tenant]]\nid = \"acme\"").unwrap_err().contains("configured twice"));
    assert!(again(&format!("[[tenant]]\nid = \"b\"\n[[tenant.release]]\n{release}")).is_ok());
    assert!(
        again(&format!("[[tenant]]\nid = \"b\"\n[[tenant.release]]\n{release}\n[[tenant.release]]\n{release}"))
            .unwrap_err()
            .contains("configured twice in this tenant")
    );
    assert!(
        again(&format!("[[tenant]]\nid = \"b\"\n[[tenant.api_key]]\nname = \"bot\"\n{key}"))
            .unwrap_err()
            .contains("another API key has the same value")
    );
    assert!(
        again("[[switch]]\nname = \"edge-1\"\nprotocol = \"jsonrpc\"\nlisten = \"127.0.0.1:9999\"\ntenant = \"acme\"\nregion = \"DE\"")
            .unwrap_err()
            .contains("the switch `edge-1` is configured twice")
    );
}

#[test]
fn a_release_has_its_own_retention_before_the_tenants() {
    let text = EXAMPLE.replace("id = \"acme\"", "id = \"acme\"\nuser_idle_limit = \"400d\"");
    assert_eq!(rules(&Config::parse(&text).unwrap()).user_idle_limit, Some(Duration::from_secs(400 * 86_400)));
    let text = text.replace("numbers = ", "session_retention = \"15m\"\nuser_idle_limit = \"1d\"\nnumbers = ");
    let rules = rules(&Config::parse(&text).unwrap());
    assert_eq!(rules.session_retention, Duration::from_secs(900));
    assert_eq!(rules.user_idle_limit, Some(Duration::from_secs(86_400)));
}

#[test]
fn two_tenants_of_one_switch_do_not_claim_the_same_number() {
    let tenant = |number: &str| {
        format!(
            "\n[[tenant]]\nid = \"globex\"\n[[tenant.release]]\ninstance_id = \"x\"\ngeneration = \"phone1\"\nnumbers = [\"{number}\"]\n"
        )
    };
    let text = EXAMPLE.replace("tenant = \"acme\"", "tenants = [\"acme\", \"globex\"]");
    assert!(Config::parse(&format!("{text}{}", tenant("+493023125001"))).is_ok());
    let error = first_fault(&format!("{text}{}", tenant("+493023125000")));
    assert!(error.message.contains("claim the same called number"), "{error}");
    assert!(Config::parse(&format!("{EXAMPLE}{}", tenant("+493023125000"))).is_ok());
}

#[test]
fn a_secret_of_the_wrong_type_is_not_repeated() {
    for secret in ["path = 4711", "path = [4711]", "path = { pin = 4711 }", "path = 4711.0"] {
        let error = fault("path = \"/var/lib/recalld\"", secret);
        assert!(!error.to_string().contains("4711"), "{error}");
    }
}

#[test]
fn a_listener_that_others_reach_is_a_warning() {
    let text = EXAMPLE.replace("127.0.0.1:8070", "0.0.0.0:8070").replace("\"127.0.0.0/8\"", "\"::/0\"");
    let warnings = Config::parse(&text).unwrap().warnings();
    assert!(warnings.iter().any(|warning| warning.contains("api listens on 0.0.0.0:8070 without TLS")), "{warnings:?}");
    assert!(warnings.iter().any(|warning| warning.contains("allows every address")), "{warnings:?}");
}

#[test]
fn without_an_allow_list_only_this_machine_connects() {
    let config = Config::parse(&EXAMPLE.replace("allow = [\"127.0.0.0/8\"]", "")).unwrap();
    let allows = |peer: &str| config.switches[0].allows(peer.parse().unwrap());
    assert!(allows("127.0.0.1") && allows("::1") && allows("::ffff:127.0.0.1"));
    assert!(!allows("192.0.2.1") && !allows("2001:db8::1"));
}

#[test]
fn a_reload_says_what_needs_a_restart() {
    let old = example();
    assert!(old.restart_needed(&old).is_empty());
    let live = EXAMPLE.replace("\"30d\"", "\"7d\"").replace("trust_identity = true", "trust_identity = false");
    assert!(old.restart_needed(&Config::parse(&live).unwrap()).is_empty());
    let other = EXAMPLE.replace("/var/lib/recalld", "/srv/recalld").replace("127.0.0.1:9070", "127.0.0.1:9071");
    assert_eq!(
        old.restart_needed(&Config::parse(&other).unwrap()),
        ["data.path", "switch.name, switch.protocol or switch.listen"]
    );
}

#[test]
fn what_needs_a_restart_keeps_its_old_value_and_the_rest_takes_effect() {
    let old = example();
    let text = EXAMPLE
        .replace("/var/lib/recalld", "/srv/recalld")
        .replace("127.0.0.1:9070", "127.0.0.1:9071")
        .replace("\"30d\"", "\"7d\"")
        .replace("trust_identity = true", "trust_identity = false");
    let more = "\n[[switch]]\nname = \"new\"\nprotocol = \"jsonrpc\"\nlisten = \"127.0.0.1:9073\"\n\
                tenant = \"acme\"\nregion = \"DE\"\n";
    let new = Config::parse(&format!("{text}{more}")).unwrap();
    let in_force = new.clone().until_restart(&old);
    assert!(old.restart_needed(&in_force).is_empty());
    assert_eq!(in_force.tenants, new.tenants);
    assert!(!in_force.switches[0].trust_identity);
    let gone = Config { switches: Vec::new(), ..new };
    assert_eq!(gone.until_restart(&old).switches, old.switches);
}

/// The documented file.
const DOCUMENTED: &str = include_str!("../../config/recalld.toml");

#[test]
fn the_documented_file_is_accepted_and_shows_the_defaults() {
    let config = Config::parse(DOCUMENTED).unwrap();
    let default = Config::parse("").unwrap();
    assert_eq!((&config.data, &config.keys, &config.api), (&default.data, &default.keys, &default.api));
    assert_eq!((&config.admin, &config.limits), (&default.admin, &default.limits));
    assert_eq!(config.privacy, default.privacy);
    assert_eq!(config.warnings(), Vec::<String>::new());

    let bare = Config::parse(
        "[[tenant]]\nid = \"acme\"\n[[tenant.release]]\ninstance_id = \"support-de\"\ngeneration = \"phone2\"\n\
         [[switch]]\nname = \"edge-1\"\nprotocol = \"jsonrpc\"\nlisten = \"127.0.0.1:9070\"\ntenant = \"acme\"\nregion = \"DE\"",
    )
    .unwrap();
    assert_eq!(config.switches, bare.switches);
    assert_eq!(rules(&config), rules(&bare));
}

#[test]
fn the_keys_the_documented_file_leaves_out_are_accepted_too() {
    let shown: Vec<&str> = DOCUMENTED
        .lines()
        .filter(|line| !line.starts_with("#tenants"))
        .map(|line| match line.strip_prefix('#') {
            Some(key) if key.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => key,
            _ => line,
        })
        .collect();
    let config = Config::parse(&shown.join("\n")).unwrap();
    assert_eq!(config.tenants[0].api_keys.len(), 1);
    assert_eq!(config.limits.arbiters, Some(4));
}

#[test]
fn every_key_is_documented() {
    let tables = [
        "",
        "[data]",
        "[keys]",
        "[api]",
        "[admin]",
        "[limits]",
        "[privacy]",
        "[[tenant]]",
        "[[tenant]]\n[[tenant.release]]",
        "[[tenant]]\n[[tenant.api_key]]",
        "[[switch]]",
    ];
    for table in tables {
        let known = Config::parse(&format!("{table}\nzzzz = 1")).unwrap_err();
        let known = known.iter().flat_map(|error| error.known_keys.clone()).collect::<Vec<_>>();
        assert!(!known.is_empty(), "{table}");
        for key in known {
            let documented = DOCUMENTED
                .split(|c: char| c != '_' && !c.is_ascii_lowercase() && !c.is_ascii_digit())
                .any(|word| word == key);
            assert!(documented, "{table}: {key} is missing in config/recalld.toml");
        }
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*") {
        let _ = Config::parse(&text);
    }

    #[test]
    fn no_damaged_file_panics_and_every_fault_has_a_place(
        at in 0..EXAMPLE.len(), cut in 0_usize..40, insert in "[\\[\\]\"'=.,{}#\n a-z0-9é]{0,12}"
    ) {
        let end = (at + cut).min(EXAMPLE.len());
        let text = format!("{}{insert}{}", &EXAMPLE[..at], &EXAMPLE[end..]);
        if let Err(errors) = Config::parse(&text) {
            for error in errors.iter() {
                prop_assert!(error.line >= 1 && error.line <= text.lines().count() + 1, "{}", error);
                prop_assert!(!error.message.is_empty());
            }
            prop_assert!(errors.iter().is_sorted_by_key(|error| (error.line, error.column)));
        }
    }
}
