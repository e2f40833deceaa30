//! What the layer allocates, with the calls of the benchmark: bounds that a change may not pass
//! unseen. (How long it takes is for `cargo bench --bench layer` to say.)

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

#[path = "../benches/layer/calls.rs"]
mod calls;

use calls::{CHUNKS, Clients, chat, request, stream};
use opentelemetry_mlflow::genai::CaptureMode;

/// Allocations of the second run: what is made once is not counted.
fn allocations(call: impl Fn()) -> u64 {
    call();
    allocation_counter::measure(call).count_total
}

#[test]
fn a_call_allocates_little_more_with_the_layer() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let clients = Clients::new();
    for (mode, size, allowed) in [(CaptureMode::NoContent, 300, 40), (CaptureMode::SpanOnly, 512, 75)] {
        let (traced, request) = (clients.traced(mode, true), request(size));
        let without = allocations(|| runtime.block_on(chat(&clients.plain, &request)));
        let with = allocations(|| runtime.block_on(chat(&traced, &request)));
        println!("{mode:?}: {with} with the layer, {without} without");
        assert!(with <= without + allowed, "{mode:?}: {with} with the layer, {without} without");
    }
}

#[test]
fn a_chunk_is_read_without_allocating() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let clients = Clients::new();
    let traced = clients.traced(CaptureMode::SpanOnly, true);
    let without = allocations(|| runtime.block_on(stream(&clients.plain)));
    let with = allocations(|| runtime.block_on(stream(&traced)));
    println!("a stream: {with} with the layer, {without} without");
    // What is left is the call itself, and the text that grows.
    assert!(with <= without + CHUNKS as u64 / 2, "{with} with the layer, {without} without");
}
