//! The pseudonym is the formula of PRODUCT.md 3.2, byte for byte.

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Deserialize;

use super::*;
use crate::domain::caller::{Evidence, Trunk, identify};
use crate::domain::ids::SessionId;

/// Made by another implementation; the file says how.
const VECTORS: &str = include_str!("../../tests/data/session-id-vectors.json");

#[derive(Deserialize)]
struct Vectors {
    session_ids: Vec<SessionIdVector>,
    subkeys: Vec<SubkeyVector>,
}

#[derive(Deserialize)]
struct SessionIdVector {
    root: String,
    tenant: String,
    version: u32,
    canonical: String,
    instance: String,
    session_id: String,
}

#[derive(Deserialize)]
struct SubkeyVector {
    root: String,
    salt: String,
    purpose: String,
    key: String,
}

/// The caller with this canonical form, as switches report her.
fn caller(canonical: &str) -> CanonicalCallerId {
    let party = match canonical.strip_prefix("ext:edge-1:") {
        Some(digits) => digits,
        None => canonical,
    };
    let evidence = Evidence {
        user_id: canonical.strip_prefix("id:"),
        party,
        display: None,
        pai: &[],
        rpid: None,
        privacy: None,
        verstat: None,
        hidden_by_switch: false,
    };
    let trunk = Trunk { trust_identity: false, region: &"DE".parse().expect("a region"), domain: "edge-1" };
    let caller = identify(&evidence, &trunk).canonical.expect("a caller");
    assert_eq!(caller.reveal(), canonical);
    caller
}

fn vectors() -> Vectors {
    serde_json::from_str(VECTORS).expect("the vectors")
}

fn root(hex: &str) -> RootKey {
    RootKey::from_file(hex.as_bytes()).expect("a root key")
}

#[test]
fn session_ids_are_those_of_an_independent_implementation() {
    let vectors = vectors().session_ids;
    assert!(vectors.len() >= 20);
    for vector in vectors {
        let key = root(&vector.root).pseudonym_key(&vector.tenant.parse().expect("a tenant"), vector.version);
        let value = key.keyed_value(&caller(&vector.canonical), &vector.instance.parse().expect("an instance"));
        assert_eq!(SessionId::Caller(value.0).to_string(), vector.session_id, "{}", vector.canonical);
        assert_eq!(format!("{value:?}"), vector.session_id);
        assert_eq!(key.version(), vector.version);
    }
}

#[test]
fn subkeys_are_those_of_an_independent_implementation() {
    for vector in vectors().subkeys {
        let salt = HEXLOWER.decode(vector.salt.as_bytes()).expect("hex");
        let key = root(&vector.root).subkey(&salt, &vector.purpose);
        assert_eq!(HEXLOWER.encode(key.as_slice()), vector.key, "{}", vector.purpose);
        if vector.purpose == "check" {
            assert_eq!(HEXLOWER.encode(&root(&vector.root).check_value()), vector.key[..32]);
        }
    }
}

#[test]
fn the_same_number_is_unrelated_at_another_tenant_release_or_key_version() {
    let (root, caller) = (root(&"5a".repeat(32)), caller("tel:+493023125001"));
    let mut values = Vec::new();
    for tenant in ["acme", "globex"] {
        for version in [1, 2] {
            for instance in ["support-de", "support-en"] {
                let key = root.pseudonym_key(&tenant.parse().expect("a tenant"), version);
                values.push(key.keyed_value(&caller, &instance.parse().expect("an instance")).0);
            }
        }
    }
    values.sort_unstable();
    values.dedup();
    assert_eq!(values.len(), 8);
}

#[test]
fn a_root_key_file_is_raw_hex_or_base64() {
    let bytes: [u8; 32] = std::array::from_fn(|index| u8::try_from(index * 8 % 256).expect("a byte"));
    let check = RootKey::from_file(&bytes).expect("raw").check_value();
    let hex = HEXLOWER.encode(&bytes);
    for text in [hex.clone(), hex.to_uppercase(), BASE64.encode(&bytes), BASE64_NOPAD.encode(&bytes)] {
        for end in ["", "\n", "\r\n"] {
            let key = RootKey::from_file(format!("{text}{end}").as_bytes()).map(|key| key.check_value());
            assert_eq!(key, Ok(check), "{text}{end:?}");
        }
    }
}

#[test]
fn a_raw_root_key_may_end_with_a_newline_byte() {
    let mut bytes = [b'a'; 32];
    bytes[31] = b'\n';
    assert!(RootKey::from_file(&bytes).is_ok());
}

#[test]
fn a_root_key_of_another_length_is_refused_and_not_told() {
    let refused = |content: &[u8]| RootKey::from_file(content).expect_err("not a key");
    for length in [0, 16, 31, 33, 48] {
        let bytes = vec![0xa5; length];
        assert_eq!(
            refused(&bytes),
            if length == 0 { RootKeyError::WrongLength { bytes: 0 } } else { RootKeyError::NoKey { bytes: length } }
        );
    }
    for length in [31, 33] {
        let bytes = vec![0xa5; length];
        assert_eq!(refused(HEXLOWER.encode(&bytes).as_bytes()), RootKeyError::WrongLength { bytes: length });
        assert_eq!(refused(BASE64.encode(&bytes).as_bytes()), RootKeyError::WrongLength { bytes: length });
    }
    let text = "correct horse battery staple, really";
    for error in [refused(text.as_bytes()), refused(format!("{}\n\n", "5a".repeat(32)).as_bytes())] {
        assert!(!error.to_string().contains("horse") && !error.to_string().contains("5a5a"), "{error}");
        assert!(error.to_string().contains("recalld key generate"));
    }
}

#[test]
fn a_generated_root_key_is_read_back_from_its_file() {
    let mut rng = StdRng::seed_from_u64(1);
    let (one, other) = (RootKey::generate(&mut rng), RootKey::generate(&mut rng));
    assert_ne!(one.check_value(), other.check_value());
    assert_eq!(one.file_text().len(), 65);
    let read = RootKey::from_file(one.file_text().as_bytes()).expect("its own file");
    assert_eq!(read.check_value(), one.check_value());
}

#[test]
fn debug_tells_no_key() {
    let root = root(&"5a".repeat(32));
    let key = root.pseudonym_key(&"acme".parse().expect("a tenant"), 3);
    assert_eq!(format!("{root:?}"), "RootKey(hidden)");
    assert_eq!(format!("{key:?}"), "PseudonymKey(version 3, hidden)");
}
