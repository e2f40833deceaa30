//! Bodies that are read while they pass by, unchanged and on time.

use std::error::Error as _;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, StatusCode};
use http_body::{Body, Frame, SizeHint};

use super::call::Call;
use super::error::CallError;
use super::sse::{Blocks, Sse};
use super::traced::End;

/// Answers above this are passed on unread: telemetry must not hold what the caller may stream.
const MAX_WHOLE: usize = 64 * 1024 * 1024;

/// A request body whose form is read while it is sent.
pub(super) struct SentForm {
    pub(super) inner: reqwest::Body,
    pub(super) call: Arc<Call>,
}

impl Body for SentForm {
    type Data = Bytes;
    type Error = Transparent;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Transparent>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.call.form_piece(data);
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Transparent)))
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
}

/// An answer that is read while the caller gets it. Ends the call when the answer ends, fails or is
/// dropped.
pub(super) struct Answer {
    inner: reqwest::Body,
    call: Arc<Call>,
    status: StatusCode,
    content_type: Option<HeaderValue>,
    expected: Option<u64>,
    received: u64,
    reading: Reading,
    over: bool,
}

enum Reading {
    /// A stream was asked for, and the server does not say that this is one: the first byte tells.
    Undecided,
    /// All pieces, to be read together. They share their memory with the caller's.
    Whole(Vec<Bytes>),
    /// Too big to be kept.
    Unread,
    /// Nothing that is recorded.
    Unwanted,
    /// Events, as they come.
    Events(Sse),
    /// Events, some of which the caller does not get.
    Filtered(Sse, Blocks),
}

impl Reading {
    fn stream(call: &Call) -> Self {
        match call.stream_begins() {
            true => Self::Filtered(Sse::default(), Blocks::default()),
            false => Self::Events(Sse::default()),
        }
    }
}

impl Answer {
    pub(super) fn new(
        response: &http::Response<reqwest::Body>,
        body: reqwest::Body,
        call: Arc<Call>,
    ) -> Self {
        let content_type = response.headers().get(http::header::CONTENT_TYPE).cloned();
        let events =
            content_type.as_ref().is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        let reading = match response.status().is_success() {
            true if events => Reading::stream(&call),
            true if call.asked_for_stream() => Reading::Undecided,
            true if !call.wants_answer() => Reading::Unwanted,
            _ => Reading::Whole(Vec::new()),
        };
        Self {
            expected: body.size_hint().exact(),
            inner: body,
            call,
            status: response.status(),
            content_type,
            received: 0,
            reading,
            over: false,
        }
    }

    /// Reads a piece; gives what the caller gets in its place, if that is something else.
    fn read(&mut self, data: &Bytes) -> Option<Bytes> {
        self.received += data.len() as u64;
        let call = &self.call;
        if matches!(self.reading, Reading::Undecided)
            && let Some(first) = data.iter().find(|byte| !byte.is_ascii_whitespace())
        {
            self.reading = match first {
                b'{' | b'[' => Reading::Whole(Vec::new()),
                _ => Reading::stream(call),
            };
        }
        let (mut complete, mut changed) = (false, None);
        match &mut self.reading {
            Reading::Whole(pieces) if self.received <= MAX_WHOLE as u64 => pieces.push(data.clone()),
            Reading::Whole(_) => self.reading = Reading::Unread,
            Reading::Unread | Reading::Unwanted | Reading::Undecided => {}
            Reading::Events(sse) => sse.push(data, |event| complete |= call.chunk(event).complete),
            Reading::Filtered(sse, blocks) => {
                changed = Some(blocks.push(data, sse, |event| {
                    let seen = call.chunk(event);
                    complete |= seen.complete;
                    seen.hide
                }));
            }
        }
        // The client stops reading at the event that says that all is said.
        if complete {
            self.finish(End::Complete);
        }
        changed
    }

    fn finish(&mut self, end: End) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        match (end, &mut self.reading) {
            (End::Complete, Reading::Whole(pieces)) => {
                let whole = joined(std::mem::take(pieces));
                let content_type = self.content_type.as_ref().and_then(|kind| kind.to_str().ok());
                self.call.answered(self.status, &whole, content_type);
            }
            (End::Complete, Reading::Unread) => {
                let size = usize::try_from(self.received).unwrap_or(usize::MAX);
                self.call.answered_unread(self.status, size);
            }
            (end, _) => self.call.end(end),
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Transparent;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Transparent>>> {
        let this = &mut *self;
        match ready!(Pin::new(&mut this.inner).poll_frame(context)) {
            Some(Ok(mut frame)) => {
                if let Some(changed) = frame.data_ref().and_then(|data| this.read(data)) {
                    frame = Frame::data(changed);
                }
                if this.expected == Some(this.received) {
                    this.finish(End::Complete);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                this.finish(End::Failed(CallError::body(&error)));
                Poll::Ready(Some(Err(Transparent(error))))
            }
            None => {
                let rest = match &mut this.reading {
                    Reading::Filtered(_, blocks) => blocks.finish(),
                    _ => Bytes::new(),
                };
                this.finish(End::Complete);
                Poll::Ready((!rest.is_empty()).then(|| Ok(Frame::data(rest))))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.reading {
            Reading::Filtered(..) => SizeHint::default(),
            _ => self.inner.size_hint(),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.reading {
            Reading::Filtered(_, blocks) => blocks.is_empty() && self.inner.is_end_stream(),
            _ => self.inner.is_end_stream(),
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // An answer without a body ends before it is ever polled.
        let end = if self.inner.is_end_stream() { End::Complete } else { End::Dropped };
        self.finish(end);
    }
}

/// The pieces in one; a single one is not copied.
fn joined(mut pieces: Vec<Bytes>) -> Bytes {
    if pieces.len() <= 1 {
        return pieces.pop().unwrap_or_default();
    }
    let mut whole = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
    whole.freeze()
}

/// An error of a body, as it was before the body was wrapped: the caller's error prints as it does
/// without the layer.
pub(super) struct Transparent(reqwest::Error);

impl Transparent {
    /// Without the levels that bodies around bodies have added: the one around us adds its own.
    fn original(&self) -> &(dyn std::error::Error + 'static) {
        let mut error: &(dyn std::error::Error + 'static) = &self.0;
        while let Some(inner) = error
            .downcast_ref::<reqwest::Error>()
            .filter(|error| error.is_body())
            .and_then(|error| error.source())
        {
            error = inner;
        }
        error
    }
}

impl fmt::Debug for Transparent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.original(), formatter)
    }
}

impl fmt::Display for Transparent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.original(), formatter)
    }
}

impl std::error::Error for Transparent {
    /// The error that it stands for: its type is what callers ask for a timeout.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.original())
    }
}
