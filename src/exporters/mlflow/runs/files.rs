//! Where the files of a run are written.

use std::path::{Path, PathBuf};

use crate::mlflow::tracking_uri::percent_decode;
#[cfg(any(test, feature = "sqlite", feature = "postgres"))]
use crate::store::tracking::TrackingError;

/// The folder of a run's artifacts.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Files {
    /// On this machine.
    Local(PathBuf),
    /// Behind the artifact proxy of the tracking server, at this path.
    Proxied(String),
    /// Somewhere that the gateway does not write to.
    Elsewhere,
}

impl Files {
    /// Reads an artifact URI. What lives behind a server's proxy is written to the folder that the
    /// server keeps it in, where that is known.
    pub(super) fn of(uri: &str, destination: Option<&Path>) -> Self {
        if let Some(path) = uri.strip_prefix("mlflow-artifacts:") {
            if path.starts_with("//") {
                return Self::Elsewhere;
            }
            let path = path.trim_matches('/');
            return match destination {
                Some(folder) if is_inside(path) => Self::Local(folder.join(path)),
                Some(_) => Self::Elsewhere,
                None => Self::Proxied(path.to_owned()),
            };
        }
        if let Some(path) = uri.strip_prefix("file:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return Self::Local(PathBuf::from(percent_decode(path)));
        }
        if uri.contains("://") || uri.is_empty() { Self::Elsewhere } else { Self::Local(PathBuf::from(uri)) }
    }
}

/// Whether a path stays below the folder it is joined to.
fn is_inside(path: &str) -> bool {
    !path.split(['/', '\\']).any(|part| part == "..")
}

/// Replaces a file; a reader sees the old text or the new one.
#[cfg(any(test, feature = "sqlite", feature = "postgres"))]
pub(super) async fn write_file(folder: PathBuf, name: String, text: String) -> Result<(), TrackingError> {
    let path = folder.join(&name);
    let written = async {
        tokio::fs::create_dir_all(&folder).await?;
        // Another gateway may write the same file: each has a draft of its own.
        let draft = folder.join(format!(".{name}.{:016x}", rand::random::<u64>()));
        tokio::fs::write(&draft, text).await?;
        tokio::fs::rename(&draft, &path).await
    };
    written.await.map_err(|error| TrackingError::Unavailable {
        message: format!("cannot write {}: {error}", path.display()),
        after: None,
        source: Some(Box::new(error)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artifact_uris_are_told_apart() {
        let of = |uri| Files::of(uri, Some(Path::new("/srv/mlartifacts")));
        let local = |path: &str| Files::Local(PathBuf::from(path));
        assert_eq!(of("mlflow-artifacts:/1/r/artifacts"), local("/srv/mlartifacts/1/r/artifacts"));
        assert_eq!(of("mlflow-artifacts:/../../etc"), Files::Elsewhere);
        assert_eq!(of("mlflow-artifacts://other:5000/1"), Files::Elsewhere);
        assert_eq!(of("file:///srv/my%20runs/1"), local("/srv/my runs/1"));
        assert_eq!(of("/srv/mlruns/1"), local("/srv/mlruns/1"));
        assert_eq!(of("s3://bucket/1"), Files::Elsewhere);
        assert_eq!(Files::of("mlflow-artifacts:/1/r", None), Files::Proxied("1/r".to_owned()));
    }

    #[tokio::test]
    async fn a_file_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("1/artifacts");
        for text in ["first", "second"] {
            write_file(inner.clone(), "t.json".to_owned(), text.to_owned()).await.unwrap();
        }
        assert_eq!(std::fs::read_to_string(inner.join("t.json")).unwrap(), "second");
        assert_eq!(std::fs::read_dir(&inner).unwrap().count(), 1);
    }
}
