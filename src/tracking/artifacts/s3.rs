//! Artifacts in S3, or in a service that speaks as it.

use std::path::Path;

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::buffered::BufWriter;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt};
use std::sync::Arc;
use tokio::io::AsyncWriteExt;

use super::path::ArtifactPath;
use super::{FileInfo, local};
use crate::store::tracking::TrackingError;

/// A folder in a bucket.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    store: Arc<AmazonS3>,
    root: String,
}

impl Bucket {
    /// The folder of `s3://bucket/path`. Credentials and region are those of `AWS_*` in the
    /// environment, of the container or of the instance; another service is named by
    /// `MLFLOW_S3_ENDPOINT_URL`, as for MLflow's client.
    pub(super) fn new(bucket_and_path: &str) -> Result<Self, TrackingError> {
        let (bucket, root) = bucket_and_path.split_once('/').unwrap_or((bucket_and_path, ""));
        crate::tls::install_crypto_provider();
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(endpoint) = variable("MLFLOW_S3_ENDPOINT_URL") {
            let plain = endpoint.starts_with("http://");
            builder = builder.with_endpoint(endpoint).with_allow_http(plain);
        }
        let store = builder.build().map_err(|error| TrackingError::Configuration {
            message: format!("cannot use the bucket {bucket}: {error}"),
            source: Some(Box::new(error)),
        })?;
        Ok(Self { store: Arc::new(store), root: root.trim_matches('/').to_owned() })
    }

    pub(super) async fn write(&self, path: &ArtifactPath, data: &Bytes) -> Result<(), TrackingError> {
        let key = self.key(path)?;
        self.store.put(&key, data.clone().into()).await.map(drop).map_err(failed)
    }

    /// Big files go up in parts.
    pub(super) async fn copy_in(&self, path: &ArtifactPath, file: &Path) -> Result<(), TrackingError> {
        let store: Arc<dyn ObjectStore> = Arc::clone(&self.store) as _;
        let mut writer = BufWriter::new(store, self.key(path)?);
        let mut source = tokio::fs::File::open(file).await.map_err(|error| local::failed(file, error))?;
        let copied = tokio::io::copy(&mut source, &mut writer).await;
        let written = match copied {
            Ok(_) => writer.shutdown().await,
            Err(error) => {
                // Parts that nobody finishes would be paid for.
                let _ = writer.abort().await;
                Err(error)
            }
        };
        written.map_err(|error| TrackingError::Unavailable {
            message: format!("cannot upload {}: {error}", file.display()),
            after: None,
            source: Some(Box::new(error)),
        })
    }

    pub(super) async fn list(&self, path: &ArtifactPath) -> Result<Vec<FileInfo>, TrackingError> {
        let folder = self.key(path)?;
        let listed = self.store.list_with_delimiter(Some(&folder)).await.map_err(failed)?;
        let below = |key: &Key| ArtifactPath::file(key.filename().unwrap_or_default());
        let mut found = Vec::new();
        for prefix in &listed.common_prefixes {
            let path = path.join(&below(prefix)?).as_str().to_owned();
            found.push(FileInfo { path, is_dir: true, size: None });
        }
        for object in &listed.objects {
            let path = path.join(&below(&object.location)?).as_str().to_owned();
            found.push(FileInfo { path, is_dir: false, size: Some(object.size) });
        }
        Ok(found)
    }

    pub(super) async fn read(&self, path: &ArtifactPath) -> Result<Vec<u8>, TrackingError> {
        let got = self.store.get(&self.key(path)?).await.map_err(failed)?;
        Ok(got.bytes().await.map_err(failed)?.to_vec())
    }

    pub(super) async fn copy_out(&self, path: &ArtifactPath, target: &Path) -> Result<(), TrackingError> {
        let mut pieces = self.store.get(&self.key(path)?).await.map_err(failed)?.into_stream();
        let local = |error| local::failed(target, error);
        let mut file = tokio::fs::File::create(target).await.map_err(local)?;
        while let Some(piece) = pieces.try_next().await.map_err(failed)? {
            file.write_all(&piece).await.map_err(local)?;
        }
        file.flush().await.map_err(local)
    }

    fn key(&self, path: &ArtifactPath) -> Result<Key, TrackingError> {
        Key::parse(format!("{}/{}", self.root, path.as_str()).trim_matches('/'))
            .map_err(|error| TrackingError::invalid(format!("{} is no key of S3: {error}", path.as_str())))
    }
}

fn failed(error: object_store::Error) -> TrackingError {
    let message = error.to_string();
    match &error {
        object_store::Error::NotFound { .. } => TrackingError::not_found(message),
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            TrackingError::Denied { message }
        }
        object_store::Error::InvalidPath { .. } => TrackingError::Invalid { message },
        _ => TrackingError::Unavailable { message, after: None, source: Some(Box::new(error)) },
    }
}
