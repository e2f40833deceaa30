//! Tracking URIs, as MLflow's own client reads them.

use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

/// Where MLflow is. Shows no credentials in `Debug` and `Display`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TrackingUri {
    /// An MLflow server.
    Http(HttpLocation),
    /// An SQLite file.
    Sqlite(SqliteLocation),
    /// A PostgreSQL database.
    Postgresql(DatabaseUrl),
}

/// Address of an MLflow server.
#[derive(Clone, Debug)]
pub struct HttpLocation {
    /// Scheme, host, port and path prefix, without credentials and without a slash at the end.
    pub base_url: String,
    /// User and password, where the URI has them; still percent-encoded.
    pub credentials: Option<SecretString>,
}

/// Place of an SQLite database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteLocation {
    path: PathBuf,
}

impl SqliteLocation {
    /// Path of the file; relative to the working directory unless absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// URL of a database server, with credentials.
#[derive(Clone)]
pub struct DatabaseUrl {
    url: SecretString,
    shown: String,
}

impl DatabaseUrl {
    /// The URL with its credentials, for the driver only.
    pub fn expose(&self) -> &str {
        self.url.expose_secret()
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.shown)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "DatabaseUrl({})", self.shown)
    }
}

/// Why a tracking URI cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrackingUriError {
    /// Nothing was given.
    #[error("the tracking URI is empty; use http(s)://…, sqlite:///file.db or postgresql://…")]
    Empty,
    /// Databricks takes no spans from others than its own clients.
    #[error(
        "spans cannot be sent to Databricks; use the http(s):// URI of an MLflow server (the tracking client takes \
         `databricks`)"
    )]
    Databricks,
    /// A backend that is not built.
    #[error("{0} is not supported yet; start `mlflow server` on it and use the server's http(s):// URI")]
    Unsupported(&'static str),
    /// A scheme that MLflow does not know either.
    #[error("unknown scheme '{0}' in the tracking URI; use http(s)://…, sqlite:///file.db or postgresql://…")]
    UnknownScheme(String),
    /// A folder of files instead of a database.
    #[error(
        "a folder of files cannot hold the gateway's traces; use sqlite:///file.db, or the URI of an MLflow server"
    )]
    Folder,
    /// `sqlite://` without a file.
    #[error("an SQLite tracking URI needs a file: sqlite:///relative.db or sqlite:////absolute.db")]
    SqliteNeedsFile,
    /// No host.
    #[error("the tracking URI has no host")]
    NoHost,
}

impl TrackingUri {
    /// Reads a tracking URI.
    ///
    /// # Errors
    ///
    /// If it is not one, or names a backend that is not supported; never repeats credentials.
    pub fn parse(text: &str) -> Result<Self, TrackingUriError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(TrackingUriError::Empty);
        }
        if text == "databricks" || text == "databricks-uc" {
            return Err(TrackingUriError::Databricks);
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(TrackingUriError::Folder);
        };
        let scheme = scheme.to_ascii_lowercase();
        // SQLAlchemy's names are `database+driver`.
        match scheme.split('+').next().unwrap_or_default() {
            "http" | "https" => http(&scheme, rest),
            "sqlite" => sqlite(rest),
            "postgresql" | "postgres" => postgresql(rest),
            "mysql" | "mariadb" => Err(TrackingUriError::Unsupported("MySQL")),
            "mssql" => Err(TrackingUriError::Unsupported("Microsoft SQL Server")),
            "databricks" | "databricks-uc" => Err(TrackingUriError::Databricks),
            "file" => Err(TrackingUriError::Folder),
            _ => Err(TrackingUriError::UnknownScheme(scheme)),
        }
    }
}

/// Reads `databricks` and `databricks://profile`: the profile, if there is one; none if the text is
/// another tracking URI. Spans cannot go there, so [`TrackingUri`] does not have it.
pub fn databricks_profile(text: &str) -> Option<Option<&str>> {
    let text = text.trim();
    if text == "databricks" {
        return Some(None);
    }
    let profile = text.strip_prefix("databricks://")?.trim_end_matches('/');
    Some((!profile.is_empty()).then_some(profile))
}

impl fmt::Display for TrackingUri {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(location) => formatter.write_str(&location.base_url),
            Self::Sqlite(location) => write!(formatter, "sqlite:///{}", location.path.display()),
            Self::Postgresql(url) => url.fmt(formatter),
        }
    }
}

fn http(scheme: &str, rest: &str) -> Result<TrackingUri, TrackingUriError> {
    let (credentials, rest) = split_credentials(rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    if rest.is_empty() || rest.starts_with(['/', ':']) {
        return Err(TrackingUriError::NoHost);
    }
    let credentials = credentials.map(SecretString::from);
    Ok(TrackingUri::Http(HttpLocation { base_url: format!("{scheme}://{rest}"), credentials }))
}

fn sqlite(rest: &str) -> Result<TrackingUri, TrackingUriError> {
    let path = rest.split('?').next().unwrap_or_default();
    match path.strip_prefix('/') {
        None | Some("" | ":memory:") => Err(TrackingUriError::SqliteNeedsFile),
        Some(path) => Ok(TrackingUri::Sqlite(SqliteLocation { path: PathBuf::from(path) })),
    }
}

fn postgresql(rest: &str) -> Result<TrackingUri, TrackingUriError> {
    let (credentials, place) = split_credentials(rest);
    // The query may hold a password as well, so none of it is shown.
    let place = place.split('?').next().unwrap_or_default();
    let user = credentials.as_deref().and_then(|both| both.split(':').next()).filter(|user| !user.is_empty());
    let shown = match user {
        Some(user) => format!("postgresql://{user}@{place}"),
        None => format!("postgresql://{place}"),
    };
    Ok(TrackingUri::Postgresql(DatabaseUrl { url: format!("postgresql://{rest}").into(), shown }))
}

/// Splits `user:password@` off. A password may hold an unescaped `@` or `/`, which must not show either.
fn split_credentials(rest: &str) -> (Option<String>, &str) {
    match rest.rsplit_once('@') {
        Some((credentials, place)) => (Some(credentials.to_owned()), place),
        None => (None, rest),
    }
}

/// Undoes percent-encoding, as of credentials in a URI; what is not encoded properly stays as it is.
pub fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        TrackingUri::parse(text).map_or_else(|error| error.to_string(), |uri| uri.to_string())
    }

    #[test]
    fn reads_what_mlflow_reads() {
        for (text, expected) in [
            ("http://localhost:5000", "http://localhost:5000"),
            ("HTTPS://me:secret@host/prefix/?x=1", "https://host/prefix"),
            ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
            ("sqlite:////var/mlflow.db?timeout=5", "sqlite:////var/mlflow.db"),
            (
                "postgresql+psycopg2://me:secret@db:5432/mlflow?sslmode=require",
                "postgresql://me@db:5432/mlflow",
            ),
            ("postgres://db/mlflow?password=secret", "postgresql://db/mlflow"),
            ("postgresql://me:a@b/secret@db/mlflow", "postgresql://me@db/mlflow"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn sqlite_paths_are_relative_with_three_slashes_and_absolute_with_four() {
        for (text, path) in [("sqlite:///a/b.db", "a/b.db"), ("sqlite:////a/b.db", "/a/b.db")] {
            let Ok(TrackingUri::Sqlite(location)) = TrackingUri::parse(text) else { panic!("{text}") };
            assert_eq!(location.path(), Path::new(path));
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_a_way_out() {
        for (text, part) in [
            ("", "empty"),
            ("mysql+pymysql://me:secret@db/mlflow", "MySQL is not supported yet"),
            ("databricks://profile", "cannot be sent to Databricks"),
            ("databricks", "cannot be sent to Databricks"),
            ("./mlruns", "folder"),
            ("file:///mlruns", "folder"),
            ("sqlite://", "needs a file"),
            ("sqlite:///:memory:", "needs a file"),
            ("http://", "no host"),
            ("ftp://me:secret@host", "unknown scheme 'ftp'"),
        ] {
            let message = shown(text);
            assert!(message.contains(part), "{text}: {message}");
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn databricks_may_have_a_profile() {
        assert_eq!(databricks_profile("databricks"), Some(None));
        assert_eq!(databricks_profile("databricks://"), Some(None));
        assert_eq!(databricks_profile(" databricks://staging/ "), Some(Some("staging")));
        assert_eq!(databricks_profile("databricks-uc"), None);
        assert_eq!(databricks_profile("http://databricks"), None);
    }

    #[test]
    fn no_debug_text_holds_a_secret() {
        for text in [
            "postgresql://me:secret@db/mlflow?password=secret",
            "https://me:secret@host",
            "postgresql://me:s@secret@db/mlflow",
        ] {
            let uri = TrackingUri::parse(text).unwrap();
            assert!(!format!("{uri:?} {uri}").contains("secret"), "{text}");
        }
    }

    #[test]
    fn the_driver_gets_the_credentials() {
        let Ok(TrackingUri::Postgresql(url)) = TrackingUri::parse("postgresql+psycopg2://me:secret@db/x")
        else {
            panic!("not PostgreSQL")
        };
        assert_eq!(url.expose(), "postgresql://me:secret@db/x");
    }
}
