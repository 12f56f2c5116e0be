//! Options for webhooks.

use super::ConfigError;
use super::paths::read;
use clap::Args;
use policy::{Allowed, Policy};
use std::path::PathBuf;
use webhooks::{Secret, Settings, Target};

/// The environment variable with the targets of webhooks.
pub const WEBHOOK_URL_VARIABLE: &str = "LEAT_WEBHOOK_URL";

/// Where events of rooms are sent; nowhere without a URL.
#[derive(Clone, Default, Args)]
pub struct WebhookOptions {
    /// URL to which events of rooms are sent: https://HOST[:PORT]/PATH. May be given up to 8 times; each gets all
    /// events. A secret in it is visible in the process list: use the variable, with commas between several
    #[arg(long, value_name = "URL", env = WEBHOOK_URL_VARIABLE, hide_env_values = true, value_delimiter = ',')]
    pub webhook_url: Vec<String>,
    /// File with the secret that signs these requests: whsec_ and 24 to 64 bytes in base64. May be given twice
    /// while the secret is being replaced: then each request has both signatures
    #[arg(long, value_name = "PATH")]
    pub webhook_secret_file: Vec<PathBuf>,
    /// Type of events that are sent, for example participant.joined. May be given several times [default:
    /// those of rooms, participants and tracks]
    #[arg(long, value_name = "TYPE")]
    pub webhook_event: Vec<String>,
    /// Private addresses to which these requests may be sent: ADDRESS[/BITS], or ADDRESS:FIRST[-LAST] with
    /// ports. May be given several times [default: public addresses only]
    #[arg(long, value_name = "ADDRESS", value_parser = allowed)]
    pub webhook_allow: Vec<String>,
}

impl std::fmt::Debug for WebhookOptions {
    /// Without the URLs, which may contain a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookOptions")
            .field("webhook_url", &self.webhook_url.len())
            .field("webhook_secret_file", &self.webhook_secret_file)
            .field("webhook_event", &self.webhook_event)
            .field("webhook_allow", &self.webhook_allow)
            .finish()
    }
}

/// Checks the text, which is passed on to the signaling process as it is.
fn allowed(text: &str) -> Result<String, String> {
    text.parse::<Allowed>().map(|_| text.to_owned()).map_err(|error| error.to_string())
}

impl WebhookOptions {
    /// The checked settings; `None` without webhooks.
    pub fn settings(&self) -> Result<Option<Settings>, ConfigError> {
        if self.webhook_url.is_empty() && self.webhook_secret_file.is_empty() {
            return Ok(None);
        }
        let targets = self.webhook_url.iter().map(|url| url.parse()).collect::<Result<Vec<Target>, _>>()?;
        let secret = |path: &PathBuf| {
            let text = read("--webhook-secret-file", path)?;
            let secret = Secret::read(&String::from_utf8_lossy(&text));
            secret.map_err(|source| ConfigError::WebhookSecret { path: path.clone(), source })
        };
        let secrets = self.webhook_secret_file.iter().map(secret).collect::<Result<Vec<Secret>, _>>()?;
        let allowed = self.webhook_allow.iter().filter_map(|text| text.parse().ok()).collect();
        let policy = Policy { allowed, ..Policy::default() };
        let settings = Settings { targets, secrets, types: self.webhook_event.clone(), policy };
        settings.check()?;
        Ok(Some(settings))
    }
}
