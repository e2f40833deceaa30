//! Tokens by OAuth's client credentials (RFC 6749, section 4.4), as Databricks' service principals
//! get them.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{self, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::RestError;
use super::credentials::bearer;

/// A token is replaced so long before it ends, so that none ends on its way.
const MARGIN: Duration = Duration::from_secs(60);

/// A client that gets its tokens from a server of its own.
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    /// Where tokens are given out.
    pub token_url: String,
    /// Who asks.
    pub client_id: String,
    /// What proves it.
    pub client_secret: SecretString,
}

/// The token at hand, and how to get the next one.
#[derive(Debug)]
pub(super) struct Tokens {
    client: ClientCredentials,
    current: Mutex<Option<(HeaderValue, Instant)>>,
}

#[derive(Deserialize)]
struct Granted {
    access_token: SecretString,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl Tokens {
    pub(super) fn new(client: ClientCredentials) -> Self {
        Self { client, current: Mutex::new(None) }
    }

    /// The header with a token that holds; `renew` asks for another in any case.
    pub(super) async fn header(&self, renew: bool, http: &reqwest::Client) -> Result<HeaderValue, RestError> {
        if let Some(header) = self.valid().filter(|_| !renew) {
            return Ok(header);
        }
        let granted = self.ask(http).await?;
        let header = bearer(granted.access_token.expose_secret())?;
        // Without a time the token is used until the server refuses it.
        let lasts = granted.expires_in.map_or(Duration::MAX, Duration::from_secs);
        let until = Instant::now()
            .checked_add(lasts.saturating_sub(MARGIN))
            .unwrap_or_else(|| Instant::now() + Duration::from_secs(365 * 86_400));
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some((header.clone(), until));
        Ok(header)
    }

    fn valid(&self) -> Option<HeaderValue> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().filter(|(_, until)| Instant::now() < *until).map(|(header, _)| header.clone())
    }

    async fn ask(&self, http: &reqwest::Client) -> Result<Granted, RestError> {
        let url = &self.client.token_url;
        let failed = |error| RestError::from_transport(url, error);
        let response = http
            .post(url)
            .basic_auth(&self.client.client_id, Some(self.client.client_secret.expose_secret()))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body("grant_type=client_credentials&scope=all-apis")
            .send()
            .await
            .map_err(failed)?;
        let status = response.status();
        let body = response.bytes().await.map_err(failed)?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|_| RestError::NotMlflow {
                url: url.clone(),
                detail: "something that holds no token".to_owned(),
            });
        }
        let server = url.clone();
        Err(match status.as_u16() {
            429 | 500..=599 => {
                RestError::Unavailable { server, status, message: "no token".to_owned(), after: None }
            }
            _ => RestError::Unauthorized { server, sent: "sent a client id and a secret" },
        })
    }
}
