//! Code that runs inside a span, and what its end says.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Task, Poll};

use opentelemetry::Context;
use pin_project_lite::pin_project;

use super::recording::Ending;
use super::{Span, SpanHandle};
use crate::instrument::instrumentation::guarded;

pin_project! {
    /// A future inside a span.
    pub(super) struct Run<F, H> {
        // Before the span, so that spans inside end first when it is dropped.
        #[pin]
        future: F,
        context: Option<Context>,
        end: End<H>,
    }
}

/// Ends the span with what became of the code inside.
struct End<H> {
    span: Option<Span>,
    /// Sees the result before the span ends.
    hook: Option<H>,
}

impl<F, H> Run<F, H> {
    pub(super) fn new(span: Span, future: F, hook: H) -> Self {
        let context = span.context.clone();
        Self { future, context, end: End { span: Some(span), hook: Some(hook) } }
    }
}

impl<F, H> Future for Run<F, H>
where
    F: Future,
    H: FnOnce(&SpanHandle, &F::Output),
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let _entered = this.context.clone().map(Context::attach);
        let mut running = Running { end: this.end, survived: false };
        let polled = this.future.poll(task);
        running.survived = true;
        if let Poll::Ready(output) = &polled {
            running.end.done(output);
        }
        drop(running);
        polled
    }
}

/// Runs a closure inside the span.
pub(super) fn call<R>(span: Span, code: impl FnOnce() -> R, hook: impl FnOnce(&SpanHandle, &R)) -> R {
    let _entered = span.context.clone().map(Context::attach);
    let mut end = End { span: Some(span), hook: Some(hook) };
    let mut running = Running { end: &mut end, survived: false };
    let output = code();
    running.survived = true;
    running.end.done(&output);
    drop(running);
    output
}

impl<H> End<H> {
    fn done<R>(&mut self, output: &R)
    where
        H: FnOnce(&SpanHandle, &R),
    {
        if let (Some(span), Some(hook)) = (self.span.take(), self.hook.take()) {
            guarded(|| hook(&span, output));
            span.finish(Ending::Done);
        }
    }
}

impl<H> Drop for End<H> {
    fn drop(&mut self) {
        if let Some(span) = self.span.take() {
            span.finish(Ending::Cancelled);
        }
    }
}

/// Code at work: dropped before it has survived, it has panicked.
struct Running<'e, H> {
    end: &'e mut End<H>,
    survived: bool,
}

impl<H> Drop for Running<'_, H> {
    fn drop(&mut self) {
        if !self.survived
            && let Some(span) = self.end.span.take()
        {
            span.finish(Ending::Panicked);
        }
    }
}
