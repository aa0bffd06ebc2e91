//! `recalld api-key`: the keys of voice apps.

use anyhow::Context;
use clap::Subcommand;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use rand::TryRng;
use rand::rngs::SysRng;
use serde_json::json;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::out;
use crate::config::Scope;
use crate::domain::ids::InstanceId;

/// Arguments of `api-key`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a key: it is printed once, and its SHA-256 goes into the configuration.
    Generate(Generate),
}

#[derive(clap::Args)]
struct Generate {
    /// The name of the key in logs.
    #[arg(long, default_value = "bot", value_parser = name)]
    name: String,
    /// What the key may do; may be repeated. Without it: context:read, context:write, calls:watch.
    #[arg(long = "scope", value_name = "SCOPE", value_parser = scope)]
    scopes: Vec<Scope>,
    /// A release it may do it with; may be repeated. Without it all of the tenant.
    #[arg(long = "release", value_name = "INSTANCE_ID", value_parser = release)]
    releases: Vec<InstanceId>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// A new API key.
pub(super) struct NewKey {
    /// What the voice app shows.
    pub(super) text: Zeroizing<String>,
    /// What the configuration holds: SHA-256 of the whole text, in hex.
    pub(super) sha256: String,
}

/// Makes a key of 256 random bits.
pub(super) fn generate() -> anyhow::Result<NewKey> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    SysRng.try_fill_bytes(bytes.as_mut_slice()).context("the system gives no random bytes")?;
    let mut text = Zeroizing::new(String::with_capacity(64));
    text.push_str("rk_");
    BASE64URL_NOPAD.encode_append(bytes.as_slice(), &mut text);
    let sha256 = HEXLOWER.encode(&Sha256::digest(text.as_bytes()));
    Ok(NewKey { text, sha256 })
}

/// Runs one of the commands.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Command::Generate(wanted) = &arguments.command;
    let key = generate()?;
    let toml = wanted.toml(&key.sha256);
    if wanted.json {
        return out::json(&json!({ "name": wanted.name, "key": *key.text, "sha256": key.sha256, "toml": toml }));
    }
    out::line(format!(
        "The key, for the voice app. It is shown this once and stored nowhere:\n\n    {}\n\n\
         For the configuration, below the [[tenant]] it belongs to:\n\n{toml}",
        *key.text
    ))
}

impl Generate {
    /// The table to paste. Names and scopes are of alphabets that need no escapes.
    fn toml(&self, sha256: &str) -> String {
        let default = [Scope::ContextRead, Scope::ContextWrite, Scope::CallsWatch];
        let scopes = if self.scopes.is_empty() { &default } else { self.scopes.as_slice() };
        let mut toml = format!(
            "[[tenant.api_key]]\nname = \"{}\"\nsha256 = \"{sha256}\"\nscopes = [{}]\n",
            self.name,
            quoted(scopes.iter().map(|scope| scope.as_str()))
        );
        if !self.releases.is_empty() {
            toml.push_str("releases = [");
            toml.push_str(&quoted(self.releases.iter().map(InstanceId::as_str)));
            toml.push_str("]\n");
        }
        toml
    }
}

fn quoted<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}

fn scope(text: &str) -> Result<Scope, String> {
    let known = || Scope::ALL.map(Scope::as_str).join(", ");
    Scope::ALL
        .into_iter()
        .find(|scope| scope.as_str() == text)
        .ok_or_else(|| format!("there is no such scope; the scopes are {}", known()))
}

fn name(text: &str) -> Result<String, &'static str> {
    let is_name = (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
    if is_name { Ok(text.to_owned()) } else { Err("a name is 1 to 64 characters of A-Z a-z 0-9 _ . -") }
}

fn release(text: &str) -> Result<InstanceId, String> {
    text.parse::<InstanceId>().map_err(|refusal| refusal.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_lines_to_paste_are_a_configuration_and_name_the_hash_of_the_whole_key() {
        let key = generate().unwrap();
        assert!(key.text.starts_with("rk_") && key.text.len() == 3 + 43, "256 bits in base64url");
        let wanted = Generate {
            name: "desk.1".to_owned(),
            scopes: vec![Scope::NumberReveal, Scope::ContextRead],
            releases: vec!["support-de".parse().unwrap()],
            json: false,
        };
        let file = format!(
            "[[tenant]]\nid = \"acme\"\n[[tenant.release]]\ninstance_id = \"support-de\"\ngeneration = \"phone2\"\n{}",
            wanted.toml(&key.sha256)
        );
        let config = Config::parse(&file).unwrap();
        let read = &config.tenants[0].api_keys[0];
        assert_eq!(read.sha256, <[u8; 32]>::from(Sha256::digest(key.text.as_bytes())));
        assert!(read.scopes.has(Scope::NumberReveal) && !read.scopes.has(Scope::ContextWrite));
        assert_eq!(read.releases.as_ref().map(Vec::len), Some(1));
    }
}
