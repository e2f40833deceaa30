//! What the server answers, and how the network delivers it.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Semaphore;

/// One answer.
#[derive(Clone)]
pub(crate) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    /// The body in the pieces that arrive one after the other.
    pub(super) pieces: Vec<Vec<u8>>,
    /// Whether the length is unknown when the answer starts, as it is for streams.
    pub(super) chunked: bool,
    pub(super) ending: Ending,
    pub(super) gate: Option<Gate>,
}

/// How an answer ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Complete,
    /// The connection closes after that many pieces.
    Disconnect(usize),
    /// Nothing more comes after that many pieces.
    Stall(usize),
    /// Not even a status comes.
    Silence,
}

/// Lets pieces through one by one, when the test says so.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Semaphore>);

impl Gate {
    pub(crate) fn closed() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets so many more pieces through.
    pub(crate) fn open(&self, pieces: usize) {
        self.0.add_permits(pieces);
    }

    pub(super) async fn pass(&self) {
        self.0.acquire().await.unwrap().forget();
    }
}

impl Reply {
    pub(crate) fn bytes(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            pieces: vec![body.into()],
            chunked: false,
            ending: Ending::Complete,
            gate: None,
        }
    }

    pub(crate) fn json(body: &Value) -> Self {
        Self::status(200, body)
    }

    pub(crate) fn status(status: u16, body: &Value) -> Self {
        Self::bytes(status, "application/json", body.to_string())
    }

    /// A stream of server-sent events as chat completions have them, with the mark of the end.
    pub(crate) fn stream(chunks: &[Value]) -> Self {
        let mut frames: Vec<_> = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
        frames.push("data: [DONE]\n\n".to_owned());
        Self::frames(frames)
    }

    /// A stream of server-sent events with their types as names, as responses have them.
    pub(crate) fn typed_stream(events: &[Value]) -> Self {
        let frame = |event: &Value| {
            format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or("message"))
        };
        Self::frames(events.iter().map(frame).collect())
    }

    /// A stream of these texts, each a piece of its own.
    pub(crate) fn frames(frames: Vec<String>) -> Self {
        let mut reply = Self::bytes(200, "text/event-stream; charset=utf-8", Vec::new());
        reply.headers.push(("cache-control".to_owned(), "no-cache".to_owned()));
        reply.pieces = frames.into_iter().map(String::into_bytes).collect();
        reply.chunked = true;
        reply
    }

    /// Never anything: the client has to give up.
    pub(crate) fn silence() -> Self {
        Self { ending: Ending::Silence, ..Self::bytes(200, "application/json", Vec::new()) }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The body in pieces of so many bytes.
    pub(crate) fn split_every(mut self, bytes: usize) -> Self {
        let whole = self.pieces.concat();
        self.pieces = whole.chunks(bytes).map(<[u8]>::to_vec).collect();
        self.chunked = true;
        self
    }

    /// The body cut inside each occurrence of a text, after so many of its bytes.
    pub(crate) fn split_inside(mut self, text: &str, after: usize) -> Self {
        let whole = self.pieces.concat();
        let mut pieces = vec![Vec::new()];
        for (at, byte) in whole.iter().enumerate() {
            if at >= after && whole[at - after..].starts_with(text.as_bytes()) {
                pieces.push(Vec::new());
            }
            pieces.last_mut().unwrap().push(*byte);
        }
        self.pieces = pieces;
        self.chunked = true;
        self
    }

    /// All that there is in one piece.
    pub(crate) fn in_one_piece(mut self) -> Self {
        self.pieces = vec![self.pieces.concat()];
        self
    }

    /// Lines that end with both characters.
    pub(crate) fn with_crlf(mut self) -> Self {
        for piece in &mut self.pieces {
            *piece = String::from_utf8(piece.clone()).unwrap().replace('\n', "\r\n").into_bytes();
        }
        self
    }

    /// A comment before each piece, which servers send to keep a connection alive.
    pub(crate) fn with_comments(mut self) -> Self {
        for piece in &mut self.pieces {
            *piece = [b": keep-alive\n\n", piece.as_slice()].concat();
        }
        self
    }

    /// The connection closes after so many pieces.
    pub(crate) fn disconnect_after(mut self, pieces: usize) -> Self {
        self.ending = Ending::Disconnect(pieces);
        self.chunked = true;
        self
    }

    /// Nothing comes after so many pieces, though the connection stays.
    pub(crate) fn stall_after(mut self, pieces: usize) -> Self {
        self.ending = Ending::Stall(pieces);
        self.chunked = true;
        self
    }

    /// Each piece waits for the gate.
    pub(crate) fn gated(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }
}
