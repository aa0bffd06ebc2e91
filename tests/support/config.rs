//! A configuration file as text.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// The API key of tenant `acme` with every scope.
pub const KEY: &str = "rk_5d0f6a1c37c2a4f1b8a0e9c4d7e2f3a65d0f6a1c37c2a4f1b8a0e9c4d7e2f3a6";

/// The API key of tenant `globex` with every scope.
pub const OTHER_KEY: &str = "rk_9be2c1d4f50718293a4b5c6d7e8f90a19be2c1d4f50718293a4b5c6d7e8f90a1";

/// Every scope an API key can have.
pub const ALL_SCOPES: &str = r#"["context:read", "context:write", "context:trusted", "assurance:assert", "number:reveal", "number:lookup", "calls:watch"]"#;

/// What a test says about the daemon it wants; the rest is filled in when it starts. The fields hold TOML lines.
#[derive(Debug, Clone)]
pub struct Config {
    /// More lines of `[data]`.
    pub data: String,
    /// Lines of `[limits]`; by default a machine that is busy with other things makes no answer `late`.
    pub limits: String,
    /// Lines of `[privacy]`.
    pub privacy: String,
    /// All tenants, releases and API keys, whole tables.
    pub tenants: String,
    /// The links to switches, each on a port of its own.
    pub switches: Vec<Switch>,
    /// The file system the data directory lies on; by default the daemon's temporary directory.
    pub data_path: Option<std::path::PathBuf>,
    /// Put before the daemon's command line: `strace` and its options.
    pub wrapper: Vec<String>,
    /// More environment variables of the daemon.
    pub environment: Vec<(String, String)>,
}

/// One `[[switch]]` table of protocol `jsonrpc`.
#[derive(Debug, Clone)]
pub struct Switch {
    /// Its name.
    pub name: String,
    /// All its lines but name, protocol and listen.
    pub lines: String,
}

impl Switch {
    /// A trusted switch of tenant `acme` in Germany.
    #[must_use]
    pub fn trusted(name: &str) -> Self {
        Self::new(name, "tenant = \"acme\"\ntrust_identity = true\nregion = \"DE\"\n")
    }

    /// A switch with these lines.
    #[must_use]
    pub fn new(name: &str, lines: &str) -> Self {
        Self { name: name.to_owned(), lines: lines.to_owned() }
    }
}

impl Default for Config {
    /// Two tenants, and for `acme` two trusted switches (`edge-1`, `edge-2`).
    ///
    /// `acme` has the releases `support-de` (phone2, +493023125000 and +4930231251*) and `sales-us` (phone1,
    /// +12025550100); `globex` has `helpdesk-uk` (phone2, +442079460000).
    fn default() -> Self {
        let mut tenants = String::from(
            r#"
[[tenant]]
id = "acme"
session_retention = "30d"
[[tenant.release]]
instance_id = "support-de"
generation = "phone2"
numbers = ["+493023125000", "+4930231251*"]
[[tenant.release]]
instance_id = "sales-us"
generation = "phone1"
numbers = ["+12025550100"]
"#,
        );
        tenants.push_str(&api_key("bot", KEY, ALL_SCOPES));
        tenants.push_str(
            r#"
[[tenant]]
id = "globex"
[[tenant.release]]
instance_id = "helpdesk-uk"
generation = "phone2"
numbers = ["+442079460000"]
"#,
        );
        tenants.push_str(&api_key("bot", OTHER_KEY, ALL_SCOPES));
        Self {
            data: "min_free = \"16MiB\"\n".to_owned(),
            limits: "answer_within = \"30s\"\n".to_owned(),
            privacy: String::new(),
            tenants,
            switches: vec![Switch::trusted("edge-1"), Switch::trusted("edge-2")],
            data_path: None,
            wrapper: Vec::new(),
            environment: Vec::new(),
        }
    }
}

/// An `[[tenant.api_key]]` table for the tenant above it; `scopes` is a TOML array.
#[must_use]
pub fn api_key(name: &str, key: &str, scopes: &str) -> String {
    let sha256 = HEXLOWER.encode(&Sha256::digest(key.as_bytes()));
    format!("[[tenant.api_key]]\nname = \"{name}\"\nsha256 = \"{sha256}\"\nscopes = {scopes}\n")
}

impl Config {
    /// With these lines in `[limits]`, too.
    #[must_use]
    pub fn limits(mut self, lines: &str) -> Self {
        self.limits.push_str(lines);
        self.limits.push('\n');
        self
    }

    /// With these lines in `[data]`, too.
    #[must_use]
    pub fn data(mut self, lines: &str) -> Self {
        self.data.push_str(lines);
        self.data.push('\n');
        self
    }

    /// With these links to switches only.
    #[must_use]
    pub fn switches(mut self, switches: impl IntoIterator<Item = Switch>) -> Self {
        self.switches = switches.into_iter().collect();
        self
    }

    /// With these tenants only.
    #[must_use]
    pub fn tenants(mut self, tables: &str) -> Self {
        tables.clone_into(&mut self.tenants);
        self
    }

    /// With this put before the daemon's command line.
    #[must_use]
    pub fn wrapper(mut self, words: &[&str]) -> Self {
        self.wrapper = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// With this environment variable.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The text of the file.
    pub(super) fn render(&self, place: &Path, listen: &Listen) -> String {
        let path = self.data_path.clone().unwrap_or_else(|| place.join("data"));
        let mut text = format!(
            "[data]\npath = \"{}\"\n{}\n[keys]\nroot = \"{}\"\n[api]\nlisten = \"{}\"\n\
             [admin]\nlisten = \"{}\"\nsocket = \"{}\"\n[limits]\n{}\n[privacy]\n{}\n{}\n",
            path.display(),
            self.data,
            place.join("root.key").display(),
            listen.api,
            listen.admin,
            place.join("recalld.sock").display(),
            self.limits,
            self.privacy,
            self.tenants,
        );
        for (switch, address) in self.switches.iter().zip(&listen.switches) {
            write!(
                text,
                "[[switch]]\nname = \"{}\"\nprotocol = \"jsonrpc\"\nlisten = \"{address}\"\n{}\n",
                switch.name, switch.lines
            )
            .unwrap();
        }
        text
    }
}

/// Where one daemon listens, the same over its restarts.
#[derive(Debug, Clone)]
pub struct Listen {
    /// HTTP and WebSocket.
    pub api: SocketAddr,
    /// `/metrics`, `/livez`, `/readyz`.
    pub admin: SocketAddr,
    /// One for each switch of the configuration.
    pub switches: Vec<SocketAddr>,
}
