//! `tls` and `auth` of a listener, with the Collector's names.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Secret;
use crate::units;

/// What is wrong: a key, relative to the listener, and a message.
type Problem = (String, String);

/// TLS of a listener. The keys are the Collector's.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerTlsConfig {
    /// File with the certificate of this server and those that lead to its authority, in PEM form.
    pub cert_file: PathBuf,
    /// File with the private key of the certificate, in PEM form.
    pub key_file: PathBuf,
    /// File with the authorities of clients, in PEM form. With it, a client must show a certificate that one of
    /// them has signed.
    #[serde(default)]
    pub client_ca_file: Option<PathBuf>,
    /// The least version of TLS.
    #[serde(default)]
    pub min_version: TlsVersion,
    /// How often the files of `tls` and `auth` are read again, such as `1h`; `0s` means only at SIGHUP.
    #[serde(default, with = "units::duration")]
    #[schemars(with = "String")]
    pub reload_interval: Duration,
}

/// A version of TLS; older ones are not spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    #[serde(rename = "1.2")]
    V1_2,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    V1_3,
}

/// Who may send: a request needs one of the tokens, or one of the users with his password.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    /// Tokens, sent as `Authorization: Bearer …`.
    pub bearertokenauth: Option<BearerTokenConfig>,
    /// Users and passwords, sent as `Authorization: Basic …`.
    pub basicauth: Option<BasicAuthConfig>,
}

/// Tokens that are accepted, all of them at any time: to change one, add the new one, change the senders, and
/// take the old one out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BearerTokenConfig {
    /// A token; give it as `${env:NAME}` or `${file:PATH}`.
    pub token: Option<Secret>,
    /// More tokens.
    pub tokens: Vec<Secret>,
    /// File with tokens, one in each line; empty lines and lines that begin with `#` are left out.
    pub filename: Option<PathBuf>,
}

/// Users that are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BasicAuthConfig {
    /// The users with their passwords.
    pub htpasswd: HtpasswdConfig,
}

/// Users and passwords, one `user:password` in each line; hashed passwords are not understood.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HtpasswdConfig {
    /// The lines themselves; give passwords as `${env:NAME}`.
    pub inline: Option<Secret>,
    /// File with such lines; empty lines and lines that begin with `#` are left out.
    pub file: Option<PathBuf>,
}

impl AuthConfig {
    /// What is wrong with the settings: keys relative to the listener, and messages.
    pub fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut problem =
            |key: &str, message: &str| problems.push((format!("auth{key}"), message.to_owned()));
        if self.bearertokenauth.is_none() && self.basicauth.is_none() {
            problem("", "must have bearertokenauth, basicauth or both");
        }
        if let Some(bearer) = &self.bearertokenauth {
            if bearer.token.is_none() && bearer.tokens.is_empty() && bearer.filename.is_none() {
                problem(".bearertokenauth", "must have token, tokens or filename");
            }
            if bearer.token.as_ref().is_some_and(|token| !is_token(token.expose())) {
                problem(".bearertokenauth.token", NOT_A_TOKEN);
            }
            if bearer.tokens.iter().any(|token| !is_token(token.expose())) {
                problem(".bearertokenauth.tokens", NOT_A_TOKEN);
            }
        }
        if let Some(basic) = &self.basicauth
            && basic.htpasswd.inline.is_none()
            && basic.htpasswd.file.is_none()
        {
            problem(".basicauth.htpasswd", "must have inline or file");
        }
        problems
    }
}

/// What no sender could send, or everybody.
pub(super) const NOT_A_TOKEN: &str =
    "a token must not be empty, and must have only visible ASCII characters and no spaces";

pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn auth(settings: serde_json::Value) -> AuthConfig {
        serde_json::from_value(settings).unwrap()
    }

    #[test]
    fn what_would_let_nobody_or_everybody_in_is_refused_without_showing_it() {
        for (settings, key) in [
            (json!({}), "auth"),
            (json!({"bearertokenauth": {}}), "auth.bearertokenauth"),
            (json!({"bearertokenauth": {"token": ""}}), "auth.bearertokenauth.token"),
            (json!({"bearertokenauth": {"token": "hush hush"}}), "auth.bearertokenauth.token"),
            (json!({"bearertokenauth": {"tokens": ["good", "hush\n"]}}), "auth.bearertokenauth.tokens"),
            (json!({"basicauth": {}}), "auth.basicauth.htpasswd"),
        ] {
            let config = auth(settings);
            let problems = config.validate();
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert_eq!(problems[0].0, key);
            assert!(!format!("{problems:?} {config:?}").contains("hush"));
        }
    }

    #[test]
    fn the_collectors_names_are_understood() {
        let config = auth(json!({
            "bearertokenauth": {"token": "a", "tokens": ["b"], "filename": "/run/tokens"},
            "basicauth": {"htpasswd": {"inline": "u:p", "file": "/run/htpasswd"}},
        }));
        assert_eq!(config.validate(), []);
        let tls: ServerTlsConfig = serde_json::from_value(json!({
            "cert_file": "c", "key_file": "k", "client_ca_file": "a", "min_version": "1.3", "reload_interval": "1h",
        }))
        .unwrap();
        assert_eq!((tls.min_version, tls.reload_interval.as_secs()), (TlsVersion::V1_3, 3_600));
    }
}
