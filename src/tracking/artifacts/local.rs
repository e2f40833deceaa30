//! Artifacts in a folder of this machine.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::fs;

use super::FileInfo;
use super::path::ArtifactPath;
use crate::store::tracking::TrackingError;

/// Prefix of files that are being written, as MLflow's; they are not listed.
const UNFINISHED: &str = ".artifact.uploading.";

/// A folder that holds artifacts.
#[derive(Clone, Debug)]
pub(super) struct LocalFolder {
    root: PathBuf,
}

impl LocalFolder {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Writes a file: readers see it whole or not at all.
    pub(super) async fn write(&self, path: &ArtifactPath, data: &Bytes) -> Result<(), TrackingError> {
        let target = self.prepare(path).await?;
        let unfinished = unfinished(&target);
        let written = fs::write(&unfinished, data).await;
        publish(&unfinished, &target, written).await
    }

    /// Copies a file in.
    pub(super) async fn copy_in(&self, path: &ArtifactPath, local: &Path) -> Result<(), TrackingError> {
        let target = self.prepare(path).await?;
        let unfinished = unfinished(&target);
        let written = fs::copy(local, &unfinished).await.map(drop);
        publish(&unfinished, &target, written).await
    }

    pub(super) async fn list(&self, path: &ArtifactPath) -> Result<Vec<FileInfo>, TrackingError> {
        let folder = path.below(&self.root);
        match fs::metadata(&folder).await {
            Ok(metadata) if metadata.is_dir() => {}
            // As in MLflow, what is not a folder has nothing in it.
            Ok(_) => return Ok(Vec::new()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(&folder, error)),
        }
        let folder = self.inside(&folder).await?;
        let mut entries = fs::read_dir(&folder).await.map_err(|error| failed(&folder, error))?;
        let mut found = Vec::new();
        while let Some(entry) = entries.next_entry().await.map_err(|error| failed(&folder, error))? {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let (Ok(below), Ok(metadata)) = (ArtifactPath::parse(&name), fs::metadata(entry.path()).await)
            else {
                continue;
            };
            if !name.starts_with(UNFINISHED) {
                let is_dir = metadata.is_dir();
                let size = (!is_dir).then_some(metadata.len());
                found.push(FileInfo { path: path.join(&below).as_str().to_owned(), is_dir, size });
            }
        }
        Ok(found)
    }

    pub(super) async fn read(&self, path: &ArtifactPath) -> Result<Vec<u8>, TrackingError> {
        let file = self.inside(&path.below(&self.root)).await?;
        fs::read(&file).await.map_err(|error| failed(&file, error))
    }

    pub(super) async fn copy_out(&self, path: &ArtifactPath, target: &Path) -> Result<(), TrackingError> {
        let file = self.inside(&path.below(&self.root)).await?;
        fs::copy(&file, target).await.map(drop).map_err(|error| failed(target, error))
    }

    /// The folder of a file to write, made if it is missing, and the file's place in it.
    async fn prepare(&self, path: &ArtifactPath) -> Result<PathBuf, TrackingError> {
        let target = path.below(&self.root);
        let folder = target.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).await.map_err(|error| failed(folder, error))?;
        let folder = self.inside(folder).await?;
        Ok(folder.join(path.name()))
    }

    /// A path without links, if it is still below the root: a link may lead anywhere.
    async fn inside(&self, path: &Path) -> Result<PathBuf, TrackingError> {
        let real = fs::canonicalize(path).await.map_err(|error| failed(path, error))?;
        let root = fs::canonicalize(&self.root).await.map_err(|error| failed(&self.root, error))?;
        if real.starts_with(&root) {
            return Ok(real);
        }
        Err(TrackingError::invalid(format!(
            "{} leads out of the artifact root {} through a symbolic link",
            path.display(),
            root.display()
        )))
    }
}

fn unfinished(target: &Path) -> PathBuf {
    let name = format!("{UNFINISHED}{:016x}", rand::random::<u64>());
    target.with_file_name(name)
}

async fn publish(unfinished: &Path, target: &Path, written: io::Result<()>) -> Result<(), TrackingError> {
    let published = match written {
        Ok(()) => fs::rename(unfinished, target).await,
        Err(error) => Err(error),
    };
    if let Err(error) = published {
        // What is left of it is of no use; that it cannot be removed changes nothing.
        let _ = fs::remove_file(unfinished).await;
        return Err(failed(target, error));
    }
    Ok(())
}

/// What a local file operation comes to.
pub(super) fn failed(path: &Path, error: io::Error) -> TrackingError {
    let message = format!("{}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::NotFound => TrackingError::not_found(message),
        io::ErrorKind::PermissionDenied => TrackingError::Denied { message },
        _ => TrackingError::Configuration { message, source: Some(Box::new(error)) },
    }
}
