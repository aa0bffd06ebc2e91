//! A voice app over HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::{HeaderMap, Request};

/// A client with an API key.
#[derive(Clone)]
pub struct Http {
    agent: Agent,
    address: SocketAddr,
    key: String,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as it came.
    pub text: String,
}

impl HttpAnswer {
    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("no JSON ({error}): {:?}", self.text))
    }

    /// The body of an answer that must be a success.
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "refused: {} {}", self.status, self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    /// Status and reason of an answer that must be a problem.
    #[must_use]
    pub fn problem(&self) -> (u16, String) {
        let media_type = self.header("content-type");
        assert!(media_type.starts_with("application/problem+json"), "{media_type}: {} {}", self.status, self.text);
        (self.status, self.json()["reason"].as_str().expect("a problem has a reason").to_owned())
    }

    /// A header, empty if it is missing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Http {
    /// A client of the API at this address.
    #[must_use]
    pub fn new(address: SocketAddr, key: &str) -> Self {
        Self { agent: agent(), address, key: key.to_owned() }
    }

    /// GET.
    #[must_use]
    pub fn get(&self, path: &str) -> HttpAnswer {
        self.send("GET", path, &[], None)
    }

    /// PUT with a JSON body.
    #[must_use]
    pub fn put(&self, path: &str, body: &Value) -> HttpAnswer {
        self.send("PUT", path, &[], Some(body))
    }

    /// POST with a JSON body.
    #[must_use]
    pub fn post(&self, path: &str, body: &Value) -> HttpAnswer {
        self.send("POST", path, &[], Some(body))
    }

    /// PATCH with a JSON body.
    #[must_use]
    pub fn patch(&self, path: &str, body: &Value) -> HttpAnswer {
        self.send("PATCH", path, &[], Some(body))
    }

    /// DELETE.
    #[must_use]
    pub fn delete(&self, path: &str) -> HttpAnswer {
        self.send("DELETE", path, &[], None)
    }

    /// Any request; `headers` come on top of the API key.
    #[must_use]
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> HttpAnswer {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        if !self.key.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.key));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = match body {
            None => self.agent.run(request.body(()).unwrap()),
            Some(body) => {
                let request = request.header("content-type", "application/json");
                self.agent.run(request.body(body.to_string()).unwrap())
            }
        };
        let mut response = response.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        HttpAnswer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.body_mut().read_to_string().unwrap(),
        }
    }
}

fn agent() -> Agent {
    let timeout = Some(Duration::from_secs(20));
    Agent::config_builder().http_status_as_error(false).timeout_global(timeout).build().new_agent()
}

/// The status of a GET without key, none if nobody answers.
#[must_use]
pub fn status(address: SocketAddr, path: &str) -> Option<u16> {
    agent().get(format!("http://{address}{path}")).call().ok().map(|response| response.status().as_u16())
}

/// The body of a GET without key that must succeed.
#[must_use]
pub fn text(address: SocketAddr, path: &str) -> String {
    let mut response = agent().get(format!("http://{address}{path}")).call().unwrap();
    assert_eq!(response.status(), 200, "GET {path}");
    response.body_mut().read_to_string().unwrap()
}
