//! The folder of a model, wherever it is kept.

use super::error::ModelsError;
use crate::tracking::{Artifacts, Client};

pub(super) struct Folder(Artifacts);

impl Folder {
    pub(super) fn open(client: &Client, uri: &str) -> Result<Self, ModelsError> {
        Ok(Self(Artifacts::open(uri, client.store().server())?))
    }

    pub(super) async fn write(&self, path: &str, bytes: Vec<u8>) -> Result<(), ModelsError> {
        Ok(self.0.log_bytes(bytes, path).await?)
    }

    pub(super) async fn read(&self, path: &str) -> Result<Vec<u8>, ModelsError> {
        Ok(self.0.read(path).await?)
    }
}
