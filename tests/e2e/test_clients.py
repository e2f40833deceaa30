"""Real clients against a fake OpenAI endpoint, through the gateway, read back with MLflow's Python client."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import fake_openai
from support.gateway import ROOT
from support.mlflow_server import traces_of

APP = Path(__file__).parent / "clients" / "app.py"
TOKENS = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
QUESTION = "What is the capital of France?"
# gRPC and HTTP straight to the gateway, and both ways that a Collector can forward.
WAYS = ["grpc", "http", "otelcol-grpc", "otelcol-http"]
KINDS = ["sqlite", "postgresql", "rest"]
# What names the span type of a chat call in each convention, once stored.
CHAT_TYPES = {"genai": "CHAT_MODEL", "openinference": "LLM", "openllmetry": "CHAT_MODEL", "mlflow": "CHAT_MODEL"}


@pytest.fixture
def endpoint(destinations, collectors):
    """The OTLP endpoint of a way to a destination: (protocol, URL as OTEL_EXPORTER_OTLP_TRACES_ENDPOINT)."""

    def get(kind: str, way: str) -> tuple[str, str]:
        at = collectors(kind, way.removeprefix("otelcol-")) if way.startswith("otelcol-") else destinations(kind).gateway
        if way.endswith("grpc"):
            return "grpc", f"http://{at.grpc}"
        return "http/protobuf", f"{at.http}/v1/traces"

    return get


def run(command: list, service: str, endpoint: tuple[str, str], openai_url: str, headers: str = "") -> dict[str, str]:
    """Runs a client to its end; gives what it printed: call -> trace id."""
    protocol, url = endpoint
    env = {
        **os.environ,
        "OPENAI_BASE_URL": openai_url,
        "OTEL_SERVICE_NAME": service,
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": url,
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": headers,
    }
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-4000:]
    for trouble in ("Failed to export", "Transient error", "BatchSpanProcessor.ExportError"):
        assert trouble not in done.stderr, done.stderr[-4000:]
    return dict(line.split() for line in done.stdout.splitlines())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("instrumentation", list(CHAT_TYPES))
def test_python_client(instrumentation, kind, way, endpoint, destinations, openai_endpoint):
    destination = destinations(kind)
    experiment = f"{instrumentation}-{way}"
    sent = run([sys.executable, APP, instrumentation], experiment, endpoint(kind, way), openai_endpoint)
    traces = {trace.info.trace_id: trace for trace in traces_of(destination.client, experiment, len(sent))}
    assert set(traces) == set(sent.values())
    assert destination.client.get_trace(sent["chat"]).info.trace_id == sent["chat"]
    for call in ("chat", "chat_stream", "tool_call", "tool_call_stream", "responses"):
        check_model_call(call, traces[sent[call]], instrumentation)
    embedding = child(traces[sent["embeddings"]])
    assert embedding.span_type == "EMBEDDING"
    assert traces[sent["embeddings"]].info.token_usage is None or traces[sent["embeddings"]].info.token_usage["input_tokens"] == 5
    assert child(traces[sent["error"]]).status.status_code.value == "ERROR"


def check_model_call(call: str, trace, instrumentation: str):
    root = next(span for span in trace.data.spans if span.parent_id is None)
    assert root.name == f"request {call}"
    span = child(trace)
    assert span.parent_id == root.span_id
    if call != "responses":
        assert span.span_type == CHAT_TYPES[instrumentation]
    assert TOKENS.items() <= span.attributes["mlflow.chat.tokenUsage"].items()
    assert TOKENS.items() <= trace.info.token_usage.items()
    assert QUESTION in json.dumps(span.inputs)
    assert trace.info.execution_duration is not None and span.end_time_ns > span.start_time_ns
    if (instrumentation, call) == ("mlflow", "tool_call_stream"):
        # MLflow's SDK does not put the pieces of a streamed tool call together; the gateway got it without.
        return
    answer = json.dumps(span.outputs)
    if call.startswith("tool_call"):
        assert "get_weather" in answer and "celsius" in answer
    else:
        assert fake_openai.ANSWER in answer


def child(trace):
    spans = [span for span in trace.data.spans if span.parent_id is not None]
    assert len(spans) == 1, [span.name for span in trace.data.spans]
    return spans[0]


@pytest.mark.parametrize("way", ["grpc", "http"])
@pytest.mark.parametrize("kind", KINDS)
def test_mlflow_sdk_names_its_experiment_in_a_header(kind, way, endpoint, destinations, openai_endpoint):
    client = destinations(kind).client
    experiment = f"by header, {way}"
    headers = f"x-mlflow-experiment-id={client.create_experiment(experiment)}"
    sent = run([sys.executable, APP, "mlflow"], "not-the-experiment", endpoint(kind, way), openai_endpoint, headers)
    assert {trace.info.trace_id for trace in traces_of(client, experiment, len(sent))} == set(sent.values())
    assert client.get_experiment_by_name("not-the-experiment") is None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_rust_client(kind, way, endpoint, destinations):
    experiment = f"rust-{way}"
    program = Path(os.environ.get("OTEL_MLFLOW_BIN", ROOT / "target/debug/otel-mlflow")).parent / "examples" / "otlp_client"
    if "OTLP_CLIENT_BIN" in os.environ:
        program = Path(os.environ["OTLP_CLIENT_BIN"])
    sent = run([program, "grpc" if way.endswith("grpc") else "http"], experiment, endpoint(kind, way), "")
    [trace] = traces_of(destinations(kind).client, experiment)
    assert trace.info.trace_id == sent["sent"]
    assert [span.name for span in sorted(trace.data.spans, key=lambda span: span.start_time_ns)] == ["answer a question", "chat gpt-4o-mini"]
    span = child(trace)
    assert TOKENS.items() <= span.attributes["mlflow.chat.tokenUsage"].items()
    assert TOKENS.items() <= trace.info.token_usage.items()
    assert QUESTION in json.dumps(span.inputs) and fake_openai.ANSWER in json.dumps(span.outputs)
