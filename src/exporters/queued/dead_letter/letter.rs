//! An entry of the file of dead letters.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rand::RngExt as _;
use serde::{Deserialize, Serialize};

use super::super::record::StoredRequest;
use crate::pipeline::RequestMetadata;

/// The kind of a record that this version cannot read.
pub(in crate::exporters::queued) const UNREADABLE: &str = "unreadable";

/// A request that was not delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// What the command line calls it.
    pub id: String,
    /// When it was given up, in milliseconds since the Unix epoch.
    pub time: u64,
    /// Why, as one of a few fixed words: `rejected`, `partial_success`, `retries_exhausted`, `unreadable`.
    pub kind: String,
    /// Why, as the destination said it.
    pub reason: String,
    /// Spans in the request.
    pub spans: usize,
    /// Spans of it that were not delivered; which of them, the destination may not have said.
    pub refused_spans: usize,
    /// Experiment that the sender named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experiment_id: Option<String>,
    /// Run that the sender named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Workspace that the sender named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// Whether the request came as OTLP/JSON.
    #[serde(default)]
    pub json: bool,
    /// The request as OTLP protobuf, in base64; of an unreadable record, its bytes.
    pub body: String,
}

impl DeadLetter {
    /// A request that is given up now.
    pub(in crate::exporters::queued) fn new(
        request: &StoredRequest,
        kind: &'static str,
        reason: &str,
        refused_spans: usize,
    ) -> Self {
        let metadata = request.metadata.clone();
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            id: format!("{:08x}", rand::rng().random::<u32>()),
            time: u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
            kind: kind.to_owned(),
            reason: reason.to_owned(),
            spans: request.spans,
            refused_spans,
            experiment_id: metadata.experiment_id,
            run_id: metadata.run_id,
            workspace: metadata.workspace,
            json: metadata.json,
            body: BASE64.encode(&request.body),
        }
    }

    /// The record for the log again; none if its body was damaged. What could not be read goes back as it was: another
    /// version of this program may read it.
    pub(in crate::exporters::queued) fn record(&self) -> Option<bytes::Bytes> {
        match self.kind.as_str() {
            UNREADABLE => Some(BASE64.decode(&self.body).ok()?.into()),
            _ => self.request().map(|request| request.encode()),
        }
    }

    pub(super) fn request(&self) -> Option<StoredRequest> {
        let body: bytes::Bytes = BASE64.decode(&self.body).ok()?.into();
        let metadata = RequestMetadata {
            experiment_id: self.experiment_id.clone(),
            run_id: self.run_id.clone(),
            workspace: self.workspace.clone(),
            json: self.json,
            bytes: body.len(),
        };
        Some(StoredRequest { spans: self.spans, metadata, body })
    }
}
