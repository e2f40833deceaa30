//! A streamed answer while it comes.

use std::time::Instant;

use opentelemetry::KeyValue;

use super::error::CallError;
use super::exchange::StreamReader;
use super::facts::Facts;
use super::route::Api;
use crate::instrument::metrics::Instruments;
use crate::semconv::{gen_ai, otel_mlflow};

/// What has come so far, and when.
pub(super) struct Stream {
    reader: StreamReader,
    is_inference: bool,
    chunks: i64,
    last: Instant,
    /// What the chunks' metrics are told apart by, once a chunk has named the model.
    dimensions: Vec<KeyValue>,
    error: Option<CallError>,
    complete: bool,
    time_to_first_chunk: Option<f64>,
}

impl Stream {
    pub(super) fn new(api: Api, facts: &Facts, started: Instant) -> Self {
        Self {
            reader: StreamReader::new(api, facts),
            is_inference: api.is_inference(),
            chunks: 0,
            last: started,
            dimensions: Vec::new(),
            error: None,
            complete: false,
            time_to_first_chunk: None,
        }
    }

    /// Takes the data of an event in. Says whether it holds nothing but usage.
    pub(super) fn event(&mut self, data: &[u8], facts: &mut Facts) -> bool {
        let progress = self.reader.event(data, facts);
        self.complete |= progress.complete;
        if self.error.is_none() {
            self.error = progress.error;
        }
        progress.only_usage
    }

    /// Records when a chunk came.
    pub(super) fn time(&mut self, dimensions: impl FnOnce() -> Vec<KeyValue>, instruments: &Instruments) {
        let now = Instant::now();
        let seconds = now.duration_since(self.last).as_secs_f64();
        self.last = now;
        self.chunks += 1;
        if self.chunks == 1 {
            self.dimensions = dimensions();
            self.time_to_first_chunk = Some(seconds);
            instruments.time_to_first_chunk.record(seconds, &self.dimensions);
        } else {
            instruments.time_per_output_chunk.record(seconds, &self.dimensions);
        }
    }

    pub(super) fn chunks(&self) -> i64 {
        self.chunks
    }

    /// Whether the answer has come to its end, even if more could follow.
    pub(super) fn is_complete(&self) -> bool {
        self.complete || self.reader.is_complete()
    }

    /// Whether the event that ends the stream has come.
    pub(super) fn is_over(&self) -> bool {
        self.complete
    }

    /// The answer as far as it came; how the stream itself failed, if it did. `ended` says whether
    /// the server has said all that it had to say.
    pub(super) fn finish(self, ended: bool, facts: &mut Facts) -> Option<CallError> {
        // The conventions time the first chunk of what is generated, not of what is read again.
        facts.double(
            gen_ai::RESPONSE_TIME_TO_FIRST_CHUNK,
            self.time_to_first_chunk.filter(|_| self.is_inference),
        );
        facts.int(otel_mlflow::STREAM_CHUNKS, Some(self.chunks));
        let failure = self.reader.finish(ended && self.error.is_none(), facts);
        self.error.or(failure)
    }
}
