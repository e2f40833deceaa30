//! The `Authorization` header, and the file that a token may come from.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use super::oauth::Tokens;
use super::{AuthConfig, RestError, RestOptions};

/// Credentials as they are sent.
#[derive(Debug)]
pub(super) enum Credentials {
    None,
    Fixed { header: HeaderValue, kind: &'static str },
    File(TokenFile),
    Granted(Tokens),
}

impl Credentials {
    /// The credentials of the options; user name and password in the tracking URI come first.
    pub(super) fn of(
        options: &RestOptions,
        in_url: Option<(String, SecretString)>,
    ) -> Result<Self, RestError> {
        match (&options.client_credentials, &in_url) {
            (Some(client), None) => Ok(Self::Granted(Tokens::new(client.clone()))),
            _ => Self::new(&options.auth, in_url),
        }
    }

    /// Checks the configuration; user name and password in the tracking URI come first.
    fn new(auth: &AuthConfig, in_url: Option<(String, SecretString)>) -> Result<Self, RestError> {
        if let Some((username, password)) = in_url {
            return basic(&username, &password, "sent the user name and password of the tracking URI");
        }
        let basic_wanted = auth.username.is_some() || auth.password.is_some();
        match (&auth.token, &auth.token_file, basic_wanted) {
            (None, None, false) => Ok(Self::None),
            (Some(token), None, false) => {
                Ok(Self::Fixed { header: bearer(token.expose_secret())?, kind: "sent a bearer token" })
            }
            (None, Some(path), false) => Ok(Self::File(TokenFile::new(path.clone()))),
            (None, None, true) => match (&auth.username, &auth.password) {
                (Some(username), Some(password)) => {
                    basic(username, password, "sent a user name and a password")
                }
                _ => Err(RestError::configuration(
                    "`auth` has only one of `username` and `password`: give both",
                )),
            },
            _ => Err(RestError::configuration(
                "`auth` has more than one kind of credentials: give `token`, or `token_file`, or `username` and \
                 `password`",
            )),
        }
    }

    /// The header for the next request; `reread` skips what is remembered of a token file, or a
    /// granted token. `http` is what tokens are asked for with.
    pub(super) async fn header(
        &self,
        reread: bool,
        http: &reqwest::Client,
    ) -> Result<Option<HeaderValue>, RestError> {
        match self {
            Self::None => Ok(None),
            Self::Fixed { header, .. } => Ok(Some(header.clone())),
            Self::File(file) => file.header(reread).await.map(Some),
            Self::Granted(tokens) => tokens.header(reread, http).await.map(Some),
        }
    }

    /// Whether the credentials can be another the next time.
    pub(super) fn may_change(&self) -> bool {
        matches!(self, Self::File(_) | Self::Granted(_))
    }

    /// Which kind is sent, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::None => "sent no credentials",
            Self::Fixed { kind, .. } => kind,
            Self::File(_) => "sent the token of `auth.token_file`",
            Self::Granted(_) => "sent a token of the client id and secret",
        }
    }
}

/// A file with a token, read again when its time of change moves.
#[derive(Debug)]
pub(super) struct TokenFile {
    path: PathBuf,
    read: Mutex<Option<(SystemTime, HeaderValue)>>,
}

impl TokenFile {
    fn new(path: PathBuf) -> Self {
        Self { path, read: Mutex::new(None) }
    }

    async fn header(&self, reread: bool) -> Result<HeaderValue, RestError> {
        let failed = |error: std::io::Error| {
            RestError::configuration(format!(
                "cannot read `auth.token_file` {}: {error}",
                self.path.display()
            ))
        };
        let changed =
            tokio::fs::metadata(&self.path).await.and_then(|metadata| metadata.modified()).map_err(failed)?;
        if let Some(header) = self.remembered(changed).filter(|_| !reread) {
            return Ok(header);
        }
        let text = SecretString::from(tokio::fs::read_to_string(&self.path).await.map_err(failed)?);
        let header = bearer(text.expose_secret().trim())?;
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Some((changed, header.clone()));
        Ok(header)
    }

    fn remembered(&self, changed: SystemTime) -> Option<HeaderValue> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.as_ref().filter(|(time, _)| *time == changed).map(|(_, header)| header.clone())
    }
}

fn basic(username: &str, password: &SecretString, kind: &'static str) -> Result<Credentials, RestError> {
    let encoded = STANDARD.encode(format!("{username}:{}", password.expose_secret()));
    Ok(Credentials::Fixed { header: secret_header(&format!("Basic {encoded}"))?, kind })
}

pub(super) fn bearer(token: &str) -> Result<HeaderValue, RestError> {
    secret_header(&format!("Bearer {token}"))
}

fn secret_header(text: &str) -> Result<HeaderValue, RestError> {
    let mut header = HeaderValue::from_str(text)
        .map_err(|_| RestError::configuration("the token has a character that a header cannot carry"))?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http() -> reqwest::Client {
        crate::tls::install_crypto_provider();
        reqwest::Client::new()
    }

    #[tokio::test]
    async fn each_kind_has_its_header() {
        let basic = AuthConfig {
            username: Some("Aladdin".into()),
            password: Some("open sesame".into()),
            ..AuthConfig::default()
        };
        let header = Credentials::new(&basic, None).unwrap().header(false, &http()).await.unwrap().unwrap();
        assert_eq!(header, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        let token = AuthConfig { token: Some("t".into()), ..AuthConfig::default() };
        let header = Credentials::new(&token, None).unwrap().header(false, &http()).await.unwrap().unwrap();
        assert_eq!(header, "Bearer t");
        assert_eq!(format!("{header:?}"), "Sensitive");
        let in_url = Some(("u".to_owned(), "p".into()));
        let header = Credentials::new(&token, in_url).unwrap().header(false, &http()).await.unwrap().unwrap();
        assert_eq!(header, "Basic dTpw");
    }

    #[test]
    fn half_or_double_credentials_are_refused() {
        let half = AuthConfig { username: Some("u".into()), ..AuthConfig::default() };
        assert!(Credentials::new(&half, None).is_err());
        let double = AuthConfig {
            token: Some("t".into()),
            token_file: Some("/token".into()),
            ..AuthConfig::default()
        };
        assert!(Credentials::new(&double, None).is_err());
    }

    #[tokio::test]
    async fn a_changed_file_is_read_again_and_an_unchanged_one_only_when_asked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let early = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000);
        let write = |token: &str, time: SystemTime| {
            std::fs::write(&path, token).unwrap();
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        };
        write("one\n", early);
        let auth = AuthConfig { token_file: Some(path.clone()), ..AuthConfig::default() };
        let credentials = Credentials::new(&auth, None).unwrap();
        assert_eq!(credentials.header(false, &http()).await.unwrap().unwrap(), "Bearer one");
        write("two", early);
        assert_eq!(credentials.header(false, &http()).await.unwrap().unwrap(), "Bearer one");
        assert_eq!(credentials.header(true, &http()).await.unwrap().unwrap(), "Bearer two");
        write("three", early + std::time::Duration::from_secs(1));
        assert_eq!(credentials.header(false, &http()).await.unwrap().unwrap(), "Bearer three");
    }

    #[tokio::test]
    async fn a_missing_file_is_named() {
        let auth = AuthConfig { token_file: Some("/no/such/file".into()), ..AuthConfig::default() };
        let error = Credentials::new(&auth, None).unwrap().header(false, &http()).await.unwrap_err();
        assert!(error.to_string().contains("/no/such/file"), "{error}");
    }
}
