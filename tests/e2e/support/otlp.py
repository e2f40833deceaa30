"""OTLP bodies for the tests that send them without an SDK."""

import os
import time

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse


def trace_request(traces: int = 1, spans: int = 2, service: str = "e2e", text: str = "hello") -> ExportTraceServiceRequest:
    """Traces with fresh ids: a root and its chat calls."""
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    attribute(resource_spans.resource.attributes, "service.name", service)
    scope_spans = resource_spans.scope_spans.add()
    now = time.time_ns()
    for _ in range(traces):
        trace_id, root_id = os.urandom(16), os.urandom(8)
        for number in range(spans):
            span = scope_spans.spans.add(
                trace_id=trace_id, span_id=os.urandom(8) if number else root_id, parent_span_id=root_id if number else b"",
                name="chat" if number else "request", start_time_unix_nano=now + number * 1000, end_time_unix_nano=now + 1_000_000,
            )
            if number:
                attribute(span.attributes, "gen_ai.operation.name", "chat")
                attribute(span.attributes, "gen_ai.request.model", text)
    return request


def attribute(attributes, key: str, value: str):
    attributes.add(key=key).value.string_value = value


def ids(request: ExportTraceServiceRequest) -> set[tuple[str, str]]:
    """The (trace id, span id) pairs of a request, as MLflow's tables hold them."""
    return {
        (f"tr-{int.from_bytes(span.trace_id):032x}", f"{int.from_bytes(span.span_id):016x}")
        for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans
    }


def answer(body: bytes) -> tuple[int, str]:
    """(rejected spans, reason) of a protobuf answer."""
    response = ExportTraceServiceResponse.FromString(body)
    return response.partial_success.rejected_spans, response.partial_success.error_message
