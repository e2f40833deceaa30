//! Artifacts that a tracking server keeps for its clients.

use std::path::Path;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;

use super::path::ArtifactPath;
use super::{FileInfo, content_type, local};
use crate::store::rest::{Download, ProxyPath, RestStore, Upload};
use crate::store::tracking::TrackingError;

/// A folder behind a server's proxy.
#[derive(Clone, Debug)]
pub(super) struct ProxyFolder {
    store: RestStore,
    root: ProxyPath,
}

impl ProxyFolder {
    /// The folder of `mlflow-artifacts:/path` or `mlflow-artifacts://host:port/path`; `rest` is what
    /// follows the colon.
    pub(super) fn new(store: RestStore, rest: &str) -> Result<Self, TrackingError> {
        let (host, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_once('/').map_or((rest, ""), |(host, path)| (host, path)),
            None => ("", rest),
        };
        let path = ArtifactPath::parse(path.trim_start_matches('/'))?;
        let host = (!host.is_empty()).then(|| host.to_owned());
        Ok(Self { store, root: ProxyPath { host, path: path.as_str().to_owned() } })
    }

    pub(super) async fn write(&self, path: &ArtifactPath, data: &Bytes) -> Result<(), TrackingError> {
        Ok(self.store.upload(&self.at(path), Upload::Bytes(data), content_type::of(path.name())).await?)
    }

    pub(super) async fn copy_in(&self, path: &ArtifactPath, file: &Path) -> Result<(), TrackingError> {
        Ok(self.store.upload(&self.at(path), Upload::File(file), content_type::of(path.name())).await?)
    }

    pub(super) async fn list(&self, path: &ArtifactPath) -> Result<Vec<FileInfo>, TrackingError> {
        let listed = self.store.list(&self.at(path)).await?;
        let mut found = Vec::with_capacity(listed.len());
        for entry in listed {
            // A server that names something outside of the folder is not believed.
            let below = ArtifactPath::file(&entry.path)?;
            let size = entry.file_size.as_ref().and_then(size).filter(|_| !entry.is_dir);
            found.push(FileInfo { path: path.join(&below).as_str().to_owned(), is_dir: entry.is_dir, size });
        }
        // Asked for a file, MLflow lists that file as if it lay in itself.
        let itself = format!("{}/{}", path.as_str(), path.name());
        if let [only] = found.as_slice()
            && !only.is_dir
            && !path.is_root()
            && only.path == itself
        {
            found.clear();
        }
        Ok(found)
    }

    pub(super) async fn read(&self, path: &ArtifactPath) -> Result<Vec<u8>, TrackingError> {
        let mut download = self.open(path).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = download.next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    pub(super) async fn copy_out(&self, path: &ArtifactPath, target: &Path) -> Result<(), TrackingError> {
        let mut download = self.open(path).await?;
        let failed = |error| local::failed(target, error);
        let mut file = tokio::fs::File::create(target).await.map_err(failed)?;
        while let Some(piece) = download.next().await? {
            file.write_all(&piece).await.map_err(failed)?;
        }
        file.flush().await.map_err(failed)
    }

    /// A missing file gives the same 500 as any failure, so it is looked for first.
    async fn open(&self, path: &ArtifactPath) -> Result<Download, TrackingError> {
        let siblings = self.list(&path.parent()).await?;
        if !siblings.iter().any(|entry| !entry.is_dir && entry.path == path.as_str()) {
            return Err(TrackingError::not_found(format!("there is no artifact {}", path.as_str())));
        }
        Ok(self.store.download(&self.at(path)).await?)
    }

    fn at(&self, path: &ArtifactPath) -> ProxyPath {
        let joint = if self.root.path.is_empty() || path.is_root() { "" } else { "/" };
        let path = format!("{}{joint}{}", self.root.path, path.as_str());
        ProxyPath { host: self.root.host.clone(), path }
    }
}

/// Sizes are numbers, or, as protobuf's JSON has them, text.
fn size(value: &serde_json::Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}
