//! The form of a request in the log.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version of the form |
//! | 1 | which of the following texts are there, and whether the request came as JSON |
//! | 4 | number of spans |
//! | 8 | size of the body as it came in, after decompression |
//! | 4 and the text | experiment id, run id, workspace: each only if the sender named it |
//! | the rest | the spans as OTLP protobuf |
//!
//! All numbers are little-endian. Damage is the log's to find: a record that it hands out is as it was written.

use bytes::{Buf as _, BufMut as _, Bytes};

use crate::otlp::{DecodeError, decode_protobuf};
use crate::pipeline::{Held, RequestMetadata, TraceRequest};

/// The form that is written.
const VERSION: u8 = 1;

const JSON: u8 = 1;
const EXPERIMENT: u8 = 2;
const RUN: u8 = 4;
const WORKSPACE: u8 = 8;
const KNOWN: u8 = JSON | EXPERIMENT | RUN | WORKSPACE;

/// The least that a span takes: its tag and its length.
const SPAN_BYTES: usize = 2;

/// Bytes before the texts.
const FIXED: usize = 14;

/// The number of spans in a record, by its first bytes, which may be damaged, and its length; 0 of a form that is not
/// known.
pub(super) fn spans_of(mut record: &[u8], length: usize) -> u64 {
    if record.first() != Some(&VERSION) || record.len() < FIXED {
        return 0;
    }
    record.advance(2);
    u64::from(record.get_u32_le()).min((length / SPAN_BYTES) as u64)
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    /// Written by a later version of this program.
    #[error(
        "the request was written by another version of otel-mlflow (form {0}): deliver it with that version"
    )]
    Version(u8),
    /// Shorter than it says, or with texts that are none.
    #[error("the request in the queue is not in the form that was written")]
    Form,
    /// The spans cannot be decoded.
    #[error("the spans in the queue cannot be decoded: {0}")]
    Spans(#[from] DecodeError),
}

/// A request as it is in the log, still encoded. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredRequest {
    /// The number of spans.
    pub(super) spans: usize,
    /// What the sender said beside them.
    pub(super) metadata: RequestMetadata,
    /// The spans as OTLP protobuf.
    pub(super) body: Bytes,
}

impl StoredRequest {
    /// A request on its way into the log.
    pub(super) fn of(request: &TraceRequest) -> Self {
        Self { spans: request.span_count(), metadata: request.metadata.clone(), body: request.to_protobuf() }
    }

    /// The record for the log.
    pub(super) fn encode(&self) -> Bytes {
        let metadata = &self.metadata;
        let texts = [
            (EXPERIMENT, &metadata.experiment_id),
            (RUN, &metadata.run_id),
            (WORKSPACE, &metadata.workspace),
        ];
        let text_bytes: usize =
            texts.iter().filter_map(|(_, text)| text.as_ref()).map(|text| 4 + text.len()).sum();
        let mut record = Vec::with_capacity(FIXED + text_bytes + self.body.len());
        let mut flags = if metadata.json { JSON } else { 0 };
        for (flag, text) in &texts {
            flags |= if text.is_some() { *flag } else { 0 };
        }
        record.put_slice(&[VERSION, flags]);
        record.put_u32_le(u32::try_from(self.spans).unwrap_or(u32::MAX));
        record.put_u64_le(metadata.bytes as u64);
        for text in texts.iter().filter_map(|(_, text)| text.as_ref()) {
            // A header is far below 4 GiB.
            record.put_u32_le(u32::try_from(text.len()).unwrap_or(u32::MAX));
            record.put_slice(text.as_bytes());
        }
        record.put_slice(&self.body);
        record.into()
    }

    /// Reads a record of the log.
    ///
    /// # Errors
    ///
    /// The record has a form that this version does not know.
    pub(super) fn parse(mut record: Bytes) -> Result<Self, RecordError> {
        match record.first() {
            None => return Err(RecordError::Form),
            Some(&VERSION) => {}
            Some(&other) => return Err(RecordError::Version(other)),
        }
        if record.len() < FIXED {
            return Err(RecordError::Form);
        }
        record.advance(1);
        let flags = record.get_u8();
        if flags & !KNOWN != 0 {
            return Err(RecordError::Form);
        }
        let spans = record.get_u32_le() as usize;
        let bytes = usize::try_from(record.get_u64_le()).unwrap_or(usize::MAX);
        let mut text = |flag| if flags & flag == 0 { Ok(None) } else { text(&mut record).map(Some) };
        let (experiment_id, run_id, workspace) = (text(EXPERIMENT)?, text(RUN)?, text(WORKSPACE)?);
        let json = flags & JSON != 0;
        let metadata = RequestMetadata { experiment_id, run_id, workspace, json, bytes };
        Ok(Self { spans, metadata, body: record })
    }

    /// The request for an exporter.
    ///
    /// # Errors
    ///
    /// The spans are none that this program wrote.
    pub(super) fn decode(&self) -> Result<TraceRequest, RecordError> {
        let decoded = decode_protobuf(&self.body)?;
        // What is sent on is what came in, if every span of it is there.
        let encoded = decoded.refusals.is_empty().then(|| self.body.clone());
        Ok(TraceRequest {
            body: decoded.request,
            encoded,
            metadata: self.metadata.clone(),
            held: Held::default(),
        })
    }
}

fn text(record: &mut Bytes) -> Result<String, RecordError> {
    if record.len() < 4 {
        return Err(RecordError::Form);
    }
    let length = record.get_u32_le() as usize;
    if record.len() < length {
        return Err(RecordError::Form);
    }
    String::from_utf8(record.split_to(length).into()).map_err(|_| RecordError::Form)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stored(metadata: RequestMetadata) -> StoredRequest {
        StoredRequest { spans: 3, metadata, body: Bytes::from_static(b"spans") }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            texts in proptest::array::uniform3(proptest::option::of(".*")),
            json: bool,
            bytes: usize,
        ) {
            let [experiment_id, run_id, workspace] = texts;
            let stored = stored(RequestMetadata { experiment_id, run_id, workspace, json, bytes });
            prop_assert_eq!(StoredRequest::parse(stored.encode()).unwrap(), stored);
        }

        #[test]
        fn nothing_that_is_read_panics(record: Vec<u8>) {
            let _ = StoredRequest::parse(record.into());
        }

        #[test]
        fn a_record_that_was_cut_in_its_texts_is_refused(cut in 0_usize..FIXED + 10) {
            let record = stored(RequestMetadata { run_id: Some("run-id".to_owned()), ..Default::default() }).encode();
            prop_assert!(StoredRequest::parse(record.slice(..cut)).is_err());
        }
    }

    #[test]
    fn a_later_form_is_named() {
        let error = StoredRequest::parse(Bytes::from_static(&[2, 0])).unwrap_err();
        assert!(error.to_string().contains("form 2"), "{error}");
    }
}
