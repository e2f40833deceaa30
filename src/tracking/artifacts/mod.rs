//! Files of runs and logged models, wherever they are kept: behind the tracking server, in a folder of
//! this machine, in S3.

mod content_type;
mod local;
mod path;
mod proxy;
#[cfg(feature = "s3")]
mod s3;
mod walk;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::Serialize;

use crate::mlflow::tracking_uri::percent_decode;
use crate::mlflow::yaml::to_yaml;
use crate::store::rest::RestStore;
use crate::store::tracking::TrackingError;
use crate::tracking::json;
use local::LocalFolder;
use path::ArtifactPath;
use proxy::ProxyFolder;

/// Something in a folder of artifacts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Path, relative to the artifact root.
    pub path: String,
    /// Whether it is a folder.
    pub is_dir: bool,
    /// Size in bytes, of a file whose keeper tells.
    pub size: Option<u64>,
}

/// The artifacts of one run or logged model. Cheap to clone.
///
/// Paths are relative, with slashes (`tables/scores.json`). None leads out of the artifact root, nor
/// out of the folder that is downloaded to.
///
/// # Examples
///
/// ```no_run
/// # async fn example(artifacts: opentelemetry_mlflow::tracking::Artifacts)
/// #     -> Result<(), Box<dyn std::error::Error>> {
/// artifacts.log_text("hello", "notes/hello.txt").await?;
/// artifacts.log_dict(&serde_json::json!({"k": 1}), "config.yaml").await?;
/// for file in artifacts.list("notes").await? {
///     println!("{} {:?}", file.path, file.size);
/// }
/// let folder = artifacts.download("notes", "/tmp/here").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Artifacts {
    uri: String,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    Proxy(ProxyFolder),
    Local(LocalFolder),
    #[cfg(feature = "s3")]
    S3(s3::Bucket),
}

/// Calls the same method of whichever place it is.
macro_rules! at_place {
    ($self:ident.$method:ident($($argument:expr),*)) => {
        match &$self.place {
            Place::Proxy(place) => place.$method($($argument),*).await,
            Place::Local(place) => place.$method($($argument),*).await,
            #[cfg(feature = "s3")]
            Place::S3(place) => place.$method($($argument),*).await,
        }
    };
}

impl Artifacts {
    /// The artifacts at a URI: `mlflow-artifacts:/path`, `mlflow-artifacts://host:port/path`,
    /// `file:///path`, a plain path, or, with the feature `s3`, `s3://bucket/path`. `server` is the
    /// tracking server, if there is one.
    ///
    /// # Errors
    ///
    /// [`TrackingError::Unsupported`] for other schemes, and for `mlflow-artifacts:` without a server.
    pub fn open(uri: &str, server: Option<&RestStore>) -> Result<Self, TrackingError> {
        let scheme = uri.split_once(':').map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest));
        let place = match scheme.as_ref().map(|(scheme, rest)| (scheme.as_str(), *rest)) {
            Some(("mlflow-artifacts", rest)) => match server {
                Some(server) => Place::Proxy(ProxyFolder::new(server.clone(), rest)?),
                None => return Err(needs_server(uri)),
            },
            Some(("file", rest)) => Place::Local(LocalFolder::new(file_path(uri, rest)?)),
            Some(("s3", rest)) => s3_place(uri, rest)?,
            Some((scheme, rest)) if rest.starts_with("//") => return Err(unknown(uri, scheme)),
            _ if uri.is_empty() => return Err(TrackingError::invalid("the artifact URI is empty")),
            _ => Place::Local(LocalFolder::new(PathBuf::from(uri))),
        };
        Ok(Self { uri: uri.to_owned(), place })
    }

    /// The URI of the artifact root.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Writes bytes to an artifact.
    ///
    /// # Errors
    ///
    /// If the path is not allowed, or the place cannot be written to.
    pub async fn log_bytes(&self, data: impl Into<Bytes>, path: &str) -> Result<(), TrackingError> {
        let path = ArtifactPath::file(path)?;
        let data = data.into();
        at_place!(self.write(&path, &data))
    }

    /// Writes text to an artifact, as UTF-8.
    ///
    /// # Errors
    ///
    /// As [`Self::log_bytes`].
    pub async fn log_text(&self, text: impl Into<String>, path: &str) -> Result<(), TrackingError> {
        self.log_bytes(text.into(), path).await
    }

    /// Writes a value to an artifact: as YAML if the path ends with `.yml` or `.yaml`, else as JSON,
    /// both in the form of MLflow's `log_dict`.
    ///
    /// # Errors
    ///
    /// If serde cannot turn the value into JSON, and as [`Self::log_bytes`].
    pub async fn log_dict(&self, value: &impl Serialize, path: &str) -> Result<(), TrackingError> {
        let mut value = serde_json::to_value(value)
            .map_err(|error| TrackingError::invalid(format!("cannot write {path}: {error}")))?;
        let name = ArtifactPath::file(path)?.name().to_owned();
        let text = match name.rsplit_once('.') {
            Some((_, "yml" | "yaml")) => {
                value.sort_all_objects();
                to_yaml(&value)
            }
            _ => json::to_python(&value),
        };
        self.log_text(text, path).await
    }

    /// Uploads a file of this machine into a folder of artifacts; `""` is the root.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, and as [`Self::log_bytes`].
    pub async fn log_artifact(&self, file: impl AsRef<Path>, folder: &str) -> Result<(), TrackingError> {
        let file = file.as_ref();
        let folder = ArtifactPath::parse(folder)?;
        let name = file
            .file_name()
            .map(Path::new)
            .ok_or_else(|| TrackingError::invalid(format!("{} names no file", file.display())))?;
        let metadata = tokio::fs::metadata(file).await.map_err(|error| local::failed(file, error))?;
        if metadata.is_dir() {
            let message = format!("{} is a folder: use log_artifacts", file.display());
            return Err(TrackingError::invalid(message));
        }
        let path = folder.join(&path::from_local(name)?);
        at_place!(self.copy_in(&path, file))
    }

    /// Uploads all files below a folder of this machine into a folder of artifacts; `""` is the root.
    /// Links to files are followed, links to folders are not, as MLflow does it.
    ///
    /// # Errors
    ///
    /// At the first file that cannot be read or written; those before it are there.
    pub async fn log_artifacts(&self, local: impl AsRef<Path>, folder: &str) -> Result<(), TrackingError> {
        let local = local.as_ref();
        let folder = ArtifactPath::parse(folder)?;
        for (file, below) in walk::files(local).await? {
            let path = folder.join(&below);
            at_place!(self.copy_in(&path, &file))?;
        }
        Ok(())
    }

    /// What is in a folder, by name; `""` is the root. A folder that does not exist is empty, and so is
    /// a file.
    ///
    /// # Errors
    ///
    /// If the path is not allowed, or the place cannot be read.
    pub async fn list(&self, folder: &str) -> Result<Vec<FileInfo>, TrackingError> {
        self.list_path(&ArtifactPath::parse(folder)?).await
    }

    /// The content of an artifact, held in memory as a whole.
    ///
    /// # Errors
    ///
    /// [`TrackingError::NotFound`] if there is none; otherwise as [`Self::list`].
    pub async fn read(&self, path: &str) -> Result<Vec<u8>, TrackingError> {
        let path = ArtifactPath::file(path)?;
        at_place!(self.read(&path))
    }

    /// Downloads a file, or a folder with all that is below it, into a folder of this machine, which is
    /// made where it is missing. Gives the place: `to` and the path; `to` alone for the root (`""`).
    ///
    /// # Errors
    ///
    /// [`TrackingError::NotFound`] if there is nothing; and if the place cannot be read or the folder
    /// not be written to.
    pub async fn download(&self, path: &str, to: impl AsRef<Path>) -> Result<PathBuf, TrackingError> {
        let (path, to) = (ArtifactPath::parse(path)?, to.as_ref());
        let mut waiting = self.list_path(&path).await?;
        let target = path.below(to);
        if waiting.is_empty() && !path.is_root() {
            // A file has no entries; what is neither is reported by who cannot find it.
            self.download_file(&path, &target).await?;
            return Ok(target);
        }
        create_folder(&target).await?;
        while let Some(entry) = waiting.pop() {
            let entry_path = ArtifactPath::file(&entry.path)?;
            if entry.is_dir {
                waiting.extend(self.list_path(&entry_path).await?);
            } else {
                self.download_file(&entry_path, &entry_path.below(to)).await?;
            }
        }
        Ok(target)
    }

    async fn list_path(&self, path: &ArtifactPath) -> Result<Vec<FileInfo>, TrackingError> {
        let mut found = at_place!(self.list(path))?;
        found.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(found)
    }

    async fn download_file(&self, path: &ArtifactPath, target: &Path) -> Result<(), TrackingError> {
        if let Some(folder) = target.parent() {
            create_folder(folder).await?;
        }
        at_place!(self.copy_out(path, target))
    }
}

async fn create_folder(folder: &Path) -> Result<(), TrackingError> {
    tokio::fs::create_dir_all(folder).await.map_err(|error| local::failed(folder, error))
}

/// The path of `file:…`; a host other than this one cannot be reached.
fn file_path(uri: &str, rest: &str) -> Result<PathBuf, TrackingError> {
    let path = match rest.strip_prefix("//") {
        Some(with_host) => match with_host.strip_prefix("localhost").unwrap_or(with_host) {
            path if path.starts_with('/') => path,
            _ => return Err(TrackingError::unsupported(format!("{uri} is a file of another machine"))),
        },
        None => rest,
    };
    Ok(PathBuf::from(percent_decode(path)))
}

#[cfg(feature = "s3")]
fn s3_place(_: &str, rest: &str) -> Result<Place, TrackingError> {
    s3::Bucket::new(rest.trim_start_matches('/')).map(Place::S3)
}

#[cfg(not(feature = "s3"))]
fn s3_place(uri: &str, _: &str) -> Result<Place, TrackingError> {
    Err(TrackingError::unsupported(format!(
        "the artifacts live at {uri}, and this program was built without S3: build it with the feature `s3`, or \
         have the server pass them on (mlflow server --artifacts-destination {uri})"
    )))
}

fn needs_server(uri: &str) -> TrackingError {
    TrackingError::unsupported(format!(
        "the artifacts live at {uri}, behind a tracking server, and the connection is to its database: connect \
         to the http:// address of the server"
    ))
}

fn unknown(uri: &str, scheme: &str) -> TrackingError {
    TrackingError::unsupported(format!(
        "the artifacts live at {uri}, and `{scheme}` is not supported: have the server pass them on \
         (mlflow server --artifacts-destination …), which gives mlflow-artifacts:/ URIs"
    ))
}

#[cfg(test)]
mod tests;
