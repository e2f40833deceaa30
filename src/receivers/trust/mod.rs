//! Whom a listener trusts: TLS with or without client certificates, tokens and passwords.
//!
//! ```text
//! connection ─> TLS, client certificate ─> request ─> token or password ─> receiver
//! ```
//!
//! A `Trust` is what a listener's settings and their files said when they were read. Nothing here ever
//! shows a secret: not in an error, not in `Debug`.

mod config;
mod credentials;
mod exposure;
mod secret;
mod tls;

use std::path::PathBuf;

pub use config::{
    AuthConfig, BasicAuthConfig, BearerTokenConfig, HtpasswdConfig, ServerTlsConfig, TlsVersion,
};
pub use exposure::is_reachable;
pub use secret::Secret;

pub(crate) use credentials::Credentials;
pub(crate) use tls::ServerTls;

/// Why what a listener should trust cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// A file cannot be read.
    #[error("{key}: {path} cannot be read: {source}", path = .path.display())]
    File {
        /// The key, relative to the listener.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A value or the content of a file cannot be used.
    #[error("{key}: {reason}")]
    Unusable {
        /// The key, relative to the listener.
        key: &'static str,
        /// What is wrong and what to do; never the content itself.
        reason: String,
    },
}

impl TrustError {
    fn unusable(key: &'static str, reason: impl Into<String>) -> Self {
        Self::Unusable { key, reason: reason.into() }
    }
}

/// Files of tokens, passwords and certificates are small: a larger one is something else.
const MAX_FILE: u64 = 1 << 20;

fn read(key: &'static str, path: &std::path::Path) -> Result<Vec<u8>, TrustError> {
    use std::io::Read as _;
    let failed = |source| TrustError::File { key, path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(TrustError::unusable(key, format!("{} is larger than {MAX_FILE} bytes", path.display())));
    }
    Ok(bytes)
}

/// What a listener trusts.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    pub(crate) tls: Option<ServerTls>,
    pub(crate) credentials: Option<Credentials>,
}

impl Trust {
    /// Reads the files that the settings name.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or says nothing that can be used.
    pub(crate) fn load(
        tls: Option<&ServerTlsConfig>,
        auth: Option<&AuthConfig>,
        protocols: &[&[u8]],
    ) -> Result<Self, TrustError> {
        Ok(Self {
            tls: tls.map(|tls| ServerTls::load(tls, protocols)).transpose()?,
            credentials: auth.map(Credentials::load).transpose()?,
        })
    }

    /// Whether somebody who got in under `self` may have no right to under `other`: then his connections
    /// have to end. Credentials are looked at with every request, and need none of that.
    pub(crate) fn admits_others_than(&self, other: &Self) -> bool {
        let clients = |trust: &Self| trust.tls.as_ref().map(|tls| tls.clients);
        clients(self) != clients(other)
    }
}
