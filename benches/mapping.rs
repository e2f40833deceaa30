//! Decoding a request, and mapping it: what the gateway computes for a span before it writes it.
//!
//! The requests are golden ones: 500 small spans of one trace, and an agent with tool calls. Throughput is given in
//! spans.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark stops where its own input is wrong")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use opentelemetry_mlflow::mapping::prices::PriceCatalogue;
use opentelemetry_mlflow::mapping::{Backend, MapContext, MapOptions, Repairs, map};
use opentelemetry_mlflow::otlp::decode_protobuf;
use opentelemetry_mlflow::otlp::model::ExportTraceServiceRequest;

const REQUESTS: &[(&str, &[u8])] = &[
    ("500 spans", include_bytes!("../tests/golden/72-big-500-spans/request-1.pb")),
    ("agent with tools", include_bytes!("../tests/golden/03-genai-agent-tools/request-1.pb")),
];

fn decoded(body: &[u8]) -> ExportTraceServiceRequest {
    decode_protobuf(body).expect("golden requests decode").request
}

fn spans(request: &ExportTraceServiceRequest) -> Throughput {
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    Throughput::Elements(scopes.map(|scope| scope.spans.len() as u64).sum())
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for (name, body) in REQUESTS {
        group.throughput(spans(&decoded(body)));
        group.bench_function(*name, |bencher| bencher.iter(|| decode_protobuf(black_box(body))));
    }
    group.finish();
}

fn map_spans(criterion: &mut Criterion) {
    for (compat, repairs) in [("strict", Repairs::NONE), ("enriched", Repairs::default())] {
        let options = MapOptions { backend: Backend::Sqlite, prices: PriceCatalogue::bundled(), repairs };
        let mut group = criterion.benchmark_group(format!("map, {compat}"));
        for (name, body) in REQUESTS {
            let request = decoded(body);
            group.throughput(spans(&request));
            let context = MapContext::default();
            group.bench_function(*name, |bencher| {
                bencher.iter(|| map(black_box(&request), &context, &options));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, decode, map_spans);
criterion_main!(benches);
