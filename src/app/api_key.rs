//! API keys (PRODUCT.md 6): who is asking, and what the key may do. Keys are looked up in the settings in force at each
//! request, so a reload that removes one shuts it out.

use actix_web::http::header::{AUTHORIZATION, HeaderMap, SEC_WEBSOCKET_PROTOCOL};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::context::Sight;
use crate::config::{ApiKey, Config, Scope};
use crate::domain::ids::{InstanceId, ReleaseId, TenantId};
use crate::domain::refusal::{Reason, Refusal};

/// The SHA-256 of a presented key: all that is kept of it.
#[derive(Clone, Copy)]
pub(super) struct KeyHash([u8; 32]);

impl KeyHash {
    fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// The key of a request: `Authorization: Bearer <key>`.
    pub(super) fn of_request(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(AUTHORIZATION);
        let value = values.next()?;
        if values.next().is_some() {
            return None;
        }
        let (scheme, key) = value.to_str().ok()?.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| Self::of(key.trim()))
    }

    /// The key of a WebSocket handshake: browsers cannot set `Authorization`, so they send it as a subprotocol
    /// `bearer.<key>`, which is never echoed.
    pub(super) fn of_handshake(headers: &HeaderMap) -> Option<Self> {
        if headers.contains_key(AUTHORIZATION) {
            return Self::of_request(headers);
        }
        headers
            .get_all(SEC_WEBSOCKET_PROTOCOL)
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .find_map(|protocol| protocol.trim().strip_prefix("bearer."))
            .map(Self::of)
    }
}

/// What the holder of a known key may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Access {
    tenant: TenantId,
    key: ApiKey,
}

impl Access {
    /// Compares with every key of every tenant in constant time: how long it takes tells nothing of how near a guess is.
    pub(super) fn find(config: &Config, presented: KeyHash) -> Option<Self> {
        let keys = || config.tenants.iter().flat_map(|tenant| tenant.api_keys.iter().map(move |key| (tenant, key)));
        let mut place = u32::MAX;
        for ((_, key), at) in keys().zip(0_u32..) {
            let same: Choice = key.sha256.ct_eq(&presented.0);
            place.conditional_assign(&at, same);
        }
        let (tenant, key) = keys().nth(usize::try_from(place).ok()?)?;
        Some(Self { tenant: tenant.id.clone(), key: key.clone() })
    }

    /// The tenant the key is bound to.
    pub(super) const fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The key's name, for logs.
    pub(super) fn name(&self) -> &str {
        &self.key.name
    }

    /// Whether the key has a scope.
    pub(super) const fn has(&self, scope: Scope) -> bool {
        self.key.scopes.has(scope)
    }

    /// Refuses what the key has no scope for.
    pub(super) fn require(&self, scope: Scope) -> Result<(), Refusal> {
        if self.has(scope) {
            return Ok(());
        }
        let scope = scope.as_str();
        Err(Refusal::new(
            Reason::NotAllowed,
            format!("this API key lacks the scope {scope}: add it in the configuration"),
        ))
    }

    /// Whether the key is for this release. What it is not for is answered as if it did not exist.
    pub(super) fn sees(&self, release: &ReleaseId) -> bool {
        release.tenant == self.tenant && self.sees_instance(&release.instance)
    }

    /// Whether the key is for this release of its tenant.
    pub(super) fn sees_instance(&self, instance: &InstanceId) -> bool {
        self.key.releases.as_ref().is_none_or(|releases| releases.contains(instance))
    }

    /// How much of a context the key's holder sees.
    pub(super) const fn sight(&self) -> Sight {
        Sight {
            variables: self.has(Scope::ContextRead),
            trusted: self.has(Scope::ContextTrusted),
            number: self.has(Scope::NumberReveal),
        }
    }
}

/// The refusal of a request without a known key.
pub(super) fn unauthorized() -> Refusal {
    Refusal::new(Reason::Unauthorized, "the API key is missing or unknown: send Authorization: Bearer rk_...")
}

#[cfg(test)]
pub(super) mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};
    use data_encoding::HEXLOWER;

    use super::*;

    /// A configuration with two tenants: the keys `one` (all releases, context:read) and `two` (sales only, all scopes
    /// but number:reveal) of acme, and `three` of globex.
    pub(in crate::app) fn config() -> Config {
        let key = |name: &str, rest: &str| {
            let hash = HEXLOWER.encode(&Sha256::digest(name.as_bytes()));
            format!("[[tenant.api_key]]\nname = \"{name}\"\nsha256 = \"{hash}\"\n{rest}\n")
        };
        let release = |name: &str| format!("[[tenant.release]]\ninstance_id = \"{name}\"\ngeneration = \"phone2\"\n");
        let text = [
            "[[tenant]]\nid = \"acme\"\n".to_owned(),
            release("support"),
            release("sales"),
            key("one", "scopes = [\"context:read\"]"),
            key(
                "two",
                "scopes = [\"context:read\", \"context:write\", \"context:trusted\", \"calls:watch\"]\n\
                 releases = [\"sales\"]",
            ),
            "[[tenant]]\nid = \"globex\"\n".to_owned(),
            release("support"),
            key("three", "scopes = [\"context:read\"]"),
        ]
        .concat();
        Config::parse(&text).unwrap()
    }

    pub(in crate::app) fn access(key: &str) -> Access {
        Access::find(&config(), KeyHash::of(key)).unwrap()
    }

    fn headers(lines: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(name.clone(), HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn a_key_is_found_with_its_tenant_whatever_its_place() {
        for (key, tenant) in [("one", "acme"), ("two", "acme"), ("three", "globex")] {
            let access = access(key);
            assert_eq!((access.name(), access.tenant().as_str()), (key, tenant));
        }
        assert!(Access::find(&config(), KeyHash::of("four")).is_none());
        assert!(Access::find(&config(), KeyHash::of("")).is_none());
    }

    #[test]
    fn a_key_sees_its_tenant_and_its_releases_only() {
        let release = |tenant: &str, instance: &str| ReleaseId {
            tenant: tenant.parse().unwrap(),
            instance: instance.parse().unwrap(),
        };
        assert!(access("one").sees(&release("acme", "support")) && access("one").sees(&release("acme", "sales")));
        assert!(!access("one").sees(&release("globex", "support")));
        assert!(!access("two").sees(&release("acme", "support")) && access("two").sees(&release("acme", "sales")));
    }

    #[test]
    fn a_scope_that_is_missing_is_refused_by_its_name() {
        let refusal = access("one").require(Scope::ContextWrite).unwrap_err();
        assert_eq!(refusal.reason, Reason::NotAllowed);
        assert!(refusal.detail.contains("context:write"));
        assert!(access("two").require(Scope::ContextWrite).is_ok());
    }

    #[test]
    fn a_key_is_taken_from_one_authorization_header_or_from_a_subprotocol() {
        let name = |found: Option<KeyHash>| found.and_then(|hash| Access::find(&config(), hash)).map(|a| a.key.name);
        let bearer = headers(&[(AUTHORIZATION, "bearer one")]);
        assert_eq!(name(KeyHash::of_request(&bearer)).as_deref(), Some("one"));
        assert_eq!(name(KeyHash::of_handshake(&bearer)).as_deref(), Some("one"));
        let browser = headers(&[(SEC_WEBSOCKET_PROTOCOL, "recalld.v1, bearer.two")]);
        assert_eq!(name(KeyHash::of_handshake(&browser)).as_deref(), Some("two"));
        assert!(KeyHash::of_request(&browser).is_none());
        for bad in [
            headers(&[]),
            headers(&[(AUTHORIZATION, "Basic b25lOm9uZQ==")]),
            headers(&[(AUTHORIZATION, "one")]),
            headers(&[(AUTHORIZATION, "Bearer one"), (AUTHORIZATION, "Bearer two")]),
        ] {
            assert!(KeyHash::of_request(&bad).is_none());
        }
    }
}
