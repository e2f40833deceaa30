//! `otel-mlflow import`: delivers what runs could not while MLflow was down.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use super::arguments::Import;
use super::{complain, say};
use crate::store::tracking::TrackingError;
use crate::tracking::{Client, Delivered, Spool};

/// Delivers every file of the spool, one line for each, and fails if one of them stays there.
pub(super) fn import(wanted: &Import) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start the runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let spool = wanted.spool.as_ref().map_or_else(Spool::default, Spool::new);
    let files = match spool.files() {
        Ok(files) => files,
        Err(error) => {
            complain(&format!("cannot read {}: {error}", spool.folder().display()));
            return ExitCode::FAILURE;
        }
    };
    if files.is_empty() {
        return say(&format!("nothing waits in {}", spool.folder().display()));
    }
    let mut clients = Clients { chosen: wanted.tracking_uri.clone(), connected: BTreeMap::new() };
    let mut left = 0;
    for path in &files {
        match runtime.block_on(clients.deliver(path)) {
            Ok(delivered) => {
                say(&report(path, &delivered));
            }
            Err(message) => {
                left += 1;
                complain(&message);
            }
        }
    }
    if left == 0 {
        return ExitCode::SUCCESS;
    }
    complain(&format!("{left} of {} files stay in {}", files.len(), spool.folder().display()));
    ExitCode::FAILURE
}

fn report(path: &Path, delivered: &Delivered) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut text = format!("{name}: {} entries delivered to run {}", delivered.entries, delivered.run_id);
    if delivered.refused > 0 {
        text.push_str(&format!(", {} refused by MLflow", delivered.refused));
    }
    if delivered.torn > 0 {
        text.push_str(&format!(", {} lines were cut off and could not be read", delivered.torn));
    }
    text
}

/// One client for each server.
struct Clients {
    chosen: Option<String>,
    connected: BTreeMap<String, Client>,
}

impl Clients {
    async fn deliver(&mut self, path: &Path) -> Result<Delivered, String> {
        let own = || -> Result<String, String> {
            let target = Spool::target(path).map_err(|error| error.to_string())?;
            target.or_else(|| std::env::var("MLFLOW_TRACKING_URI").ok()).ok_or_else(|| {
                format!("{} was meant for a database: say where it goes with --tracking-uri", path.display())
            })
        };
        let uri = match &self.chosen {
            Some(chosen) => chosen.clone(),
            None => own()?,
        };
        let client = self.client(&uri).await.map_err(|error| error.to_string())?;
        Spool::deliver(client.store().as_ref(), path, None).await.map_err(|error| error.to_string())
    }

    async fn client(&mut self, uri: &str) -> Result<Client, TrackingError> {
        if let Some(client) = self.connected.get(uri) {
            return Ok(client.clone());
        }
        let client = Client::connect(uri).await?;
        self.connected.insert(uri.to_owned(), client.clone());
        Ok(client)
    }
}
