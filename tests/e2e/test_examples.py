"""The example programs, which use the library: against a fake OpenAI endpoint, into MLflow, read back with MLflow's client.

They are the cases of MLflow's guides: chat, legacy completions, embeddings, streaming, async, function calling with
decorators, and two agents with a hand-off; each trace holds what the guides say is captured.
"""

import json
import os
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from support import fake_openai
from support.chat_view import Shown, chat, exceptions, tools
from support.gateway import ROOT
from support.mlflow_server import traces_of
from support.process import free_port
from mlflow import MlflowClient

EXAMPLES = Path(os.environ.get("EXAMPLES_DIR", ROOT / "target" / "debug" / "examples"))
API_KEY = "sk-fake-key-of-the-tests"
TOKENS = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18, "cache_read_input_tokens": 4}
# Dollars for a call with these tokens of gpt-4o-mini: 0.15 a million in, 0.075 of what was cached, 0.6 out.
COST = (7 * 0.15 + 4 * 0.075 + 7 * 0.6) / 1e6
# Where a program sends its traces: to the gateway, or itself to a database or a server.
WAYS = ["gateway", "database", "server"]


@pytest.fixture
def way(destinations, tmp_path):
    """Environment of a program, and the client that reads what it sent."""

    def get(name: str, service: str) -> tuple[dict, MlflowClient]:
        if name == "gateway":
            destination = destinations("sqlite")
            env = {"OTEL_EXPORTER_OTLP_ENDPOINT": destination.gateway.http, "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
            return env, destination.client
        uri = f"sqlite:///{tmp_path}/mlflow.db" if name == "database" else destinations("rest").read_uri
        return {"MLFLOW_TRACKING_URI": uri, "MLFLOW_EXPERIMENT_NAME": service}, MlflowClient(uri)

    return get


def environment(openai_url: str, service: str, **more) -> dict:
    """That of this process without its own telemetry settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "MLFLOW_"))}
    return {**kept, "OPENAI_BASE_URL": openai_url, "OPENAI_API_KEY": API_KEY, "OTEL_SERVICE_NAME": service, **more}


def run(example: str, env: dict) -> str:
    """What the program prints."""
    done = subprocess.run([EXAMPLES / example], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def trace_of(example: str, name: str, way, openai_url: str, **more) -> tuple:
    """Runs an example that makes one trace: (what it prints, the trace)."""
    service = f"example-{example}-{name}"
    env, client = way(name, service)
    printed = run(example, environment(openai_url, service, **env, **more))
    [trace] = traces_of(client, service)
    check_any(trace)
    return printed, trace


def check_any(trace):
    """What holds for every trace: one root, whose time is the trace's, and no credentials."""
    took = (root(trace).end_time_ns - root(trace).start_time_ns) / 1e6
    assert took > 0 and abs(trace.info.execution_duration - took) <= 1
    recorded = json.dumps([span.to_dict() for span in trace.data.spans]) + json.dumps(trace.info.to_dict())
    assert API_KEY not in recorded


def root(trace):
    [found] = [span for span in trace.data.spans if span.parent_id is None]
    return found


def named(trace, name: str) -> list:
    """The spans of that name, the first first."""
    return sorted((span for span in trace.data.spans if span.name == name), key=lambda span: span.start_time_ns)


def children(trace, parent) -> list:
    return [span.name for span in sorted(trace.data.spans, key=lambda span: span.start_time_ns) if span.parent_id == parent.span_id]


def check_model_call(span, **request):
    """A chat of gpt-4o-mini that was answered, with these parameters."""
    assert (span.span_type, span.model_name) == ("CHAT_MODEL", fake_openai.RESOLVED_MODEL)
    assert span.attributes["mlflow.llm.provider"] == "openai"
    assert span.attributes["gen_ai.request.model"] == "gpt-4o-mini"
    assert span.status.status_code.value != "ERROR" and not exceptions(span)
    asked = {name.removeprefix("gen_ai.request."): value for name, value in span.attributes.items() if name.startswith("gen_ai.request.")}
    assert asked == {"model": "gpt-4o-mini", **request}
    assert span.attributes["mlflow.chat.tokenUsage"] == TOKENS
    assert span.attributes["mlflow.llm.cost"]["total_cost"] == pytest.approx(COST)


def cost(trace) -> float:
    """In dollars."""
    return json.loads(trace.info.trace_metadata["mlflow.trace.cost"])["total_cost"]


def check_totals(trace, calls: int):
    """Tokens and cost of the trace are those of its calls of the model, each counted once."""
    assert trace.info.token_usage == {name: count * calls for name, count in TOKENS.items()}
    assert cost(trace) == pytest.approx(calls * COST)
    assert trace.info.state.value == "OK"


@pytest.mark.parametrize("name", WAYS)
def test_chat(name, way, openai_endpoint):
    printed, trace = trace_of("chat", name, way, openai_endpoint)
    assert printed.strip() == fake_openai.ANSWER
    [span] = trace.data.spans
    assert span.name == "chat gpt-4o-mini"
    check_model_call(span, temperature=0.5, max_tokens=100)
    check_totals(trace, 1)
    assert chat(span) == [
        Shown("system", "You are a helpful assistant."),
        Shown("user", "What does a tracer do?"),
        Shown("assistant", fake_openai.ANSWER),
    ]
    if name != "server":  # A server makes the previews itself.
        assert (trace.info.request_preview, trace.info.response_preview) == ("What does a tracer do?", fake_openai.ANSWER)


def test_legacy_completions(way, openai_endpoint):
    printed, trace = trace_of("completions", "gateway", way, openai_endpoint)
    assert printed.strip() == "Paris."
    [span] = trace.data.spans
    assert (span.span_type, span.model_name) == ("LLM", "gpt-3.5-turbo-instruct")
    assert span.attributes["gen_ai.request.temperature"] == 0.25 and span.attributes["gen_ai.request.max_tokens"] == 16
    assert chat(span) == [Shown("user", "The capital of France is"), Shown("assistant", " Paris.")]
    assert trace.info.token_usage == {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
    assert cost(trace) == pytest.approx((11 * 1.5 + 7 * 2) / 1e6)


def test_embeddings(way, openai_endpoint):
    printed, trace = trace_of("embeddings", "gateway", way, openai_endpoint)
    assert printed.splitlines() == ["0: 256 numbers", "1: 256 numbers"]
    [span] = trace.data.spans
    assert (span.span_type, span.model_name) == ("EMBEDDING", "text-embedding-3-small")
    assert span.inputs == {"input": ["The quick brown fox", "jumps over the lazy dog"]}
    assert span.outputs == {"embeddings": 2, "dimensions": 256}
    assert span.attributes["gen_ai.embeddings.dimension.count"] == 256
    assert trace.info.token_usage["input_tokens"] == 5
    assert cost(trace) == pytest.approx(5 * 0.02 / 1e6)


@pytest.mark.parametrize("name", WAYS)
def test_streaming(name, way, openai_endpoint):
    printed, trace = trace_of("streaming", name, way, openai_endpoint)
    assert printed.strip() == fake_openai.ANSWER
    [span] = trace.data.spans
    check_model_call(span, stream=True)
    check_totals(trace, 1)
    assert chat(span) == [Shown("user", "Count from one to ten."), Shown("assistant", fake_openai.ANSWER)]
    assert 0 < span.attributes["gen_ai.response.time_to_first_chunk"] < (span.end_time_ns - span.start_time_ns) / 1e9
    assert span.attributes["otel_mlflow.stream.end"] == "completed"
    # The role, a chunk for each word, the finish reason, the usage.
    chunks = [event for event in span.events if event.name.startswith("mlflow.chunk.item.")]
    assert [chunk.name for chunk in chunks] == [f"mlflow.chunk.item.{number}" for number in range(len(fake_openai.ANSWER.split()) + 3)]
    deltas = [json.loads(chunk.attributes["mlflow.chunk.value"])["choices"] for chunk in chunks]
    assert "".join(choices[0]["delta"].get("content", "") for choices in deltas if choices) == fake_openai.ANSWER


@pytest.mark.parametrize("name", WAYS)
def test_calls_at_the_same_time(name, way):
    endpoint = fake_openai.FakeOpenAi(together=3)
    try:
        printed, trace = trace_of("concurrent", name, way, endpoint.url)
    finally:
        endpoint.stop()
    questions = [f"What is the weather like in {city}?" for city in fake_openai.CITIES]
    answers = [f"{fake_openai.ANSWER} You asked: {question}" for question in questions]
    assert printed.splitlines() == answers
    top = root(trace)
    assert top.span_type == "WORKFLOW" and top.inputs == {"cities": fake_openai.CITIES} and top.outputs == answers
    calls = [span for span in trace.data.spans if span is not top]
    assert children(trace, top) == ["chat gpt-4o-mini"] * 3
    assert max(span.start_time_ns for span in calls) < min(span.end_time_ns for span in calls)
    assert sorted((asked.text, told.text) for asked, told in map(chat, calls)) == sorted(zip(questions, answers))
    for span in calls:
        check_model_call(span)
    check_totals(trace, 3)


@pytest.mark.parametrize("name", WAYS)
def test_tools(name, way, openai_endpoint):
    printed, trace = trace_of("tools", name, way, openai_endpoint)
    assert printed.strip() == fake_openai.ANSWER
    agent = root(trace)
    assert (agent.span_type, agent.inputs, agent.outputs) == ("AGENT", {"question": "Is it warmer in Paris or in Oslo?"}, fake_openai.ANSWER)
    tool, call = "execute_tool get_temperature", "chat gpt-4o-mini"
    assert children(trace, agent) == [call, tool, tool, call]
    used = [(span.attributes["gen_ai.tool.call.id"], span.span_type, span.inputs, span.outputs) for span in named(trace, tool)]
    assert used == [("call_fake1", "TOOL", {"city": "Paris"}, {"result": 21}), ("call_fake2", "TOOL", {"city": "Oslo"}, {"result": 9})]
    first, second = named(trace, call)
    asked = Shown("assistant", calls=[("call_fake1", "get_temperature", {"city": "Paris"}), ("call_fake2", "get_temperature", {"city": "Oslo"})])
    begin = [Shown("user", "Is it warmer in Paris or in Oslo?"), asked]
    assert chat(first) == begin
    results = [Shown("tool", "21", answers="call_fake1"), Shown("tool", "9", answers="call_fake2")]
    assert chat(second) == [*begin, *results, Shown("assistant", fake_openai.ANSWER)]
    for span in (first, second):
        check_model_call(span)
        assert tools(span) == ["get_temperature"]
    check_totals(trace, 2)


@pytest.mark.parametrize("name", WAYS)
def test_agents_that_hand_over(name, way, openai_endpoint):
    printed, trace = trace_of("agents", name, way, openai_endpoint)
    assert printed.strip() == f"Agent B: {fake_openai.ANSWER}"
    run = root(trace)
    assert (run.span_type, run.outputs) == ("WORKFLOW", fake_openai.ANSWER)
    assert children(trace, run) == ["invoke_agent Agent A", "invoke_agent Agent B"]
    [a], [b] = named(trace, "invoke_agent Agent A"), named(trace, "invoke_agent Agent B")
    assert (a.span_type, b.span_type, b.outputs) == ("AGENT", "AGENT", fake_openai.ANSWER)
    assert children(trace, a) == ["chat gpt-4o-mini", "execute_tool transfer_to_agent_b"]
    assert children(trace, b) == ["chat gpt-4o-mini"]
    [transfer], [handoff] = named(trace, "execute_tool transfer_to_agent_b"), named(trace, "Handoff")
    assert transfer.attributes["gen_ai.tool.call.id"] == "call_fake1"
    assert transfer.outputs == {"assistant": "Agent B"}
    assert (handoff.parent_id, handoff.inputs, handoff.outputs) == (transfer.span_id, {"from_agent": "Agent A"}, {"to_agent": "Agent B"})
    asked_a, asked_b = named(trace, "chat gpt-4o-mini")
    question, call = Shown("user", "I want to talk to agent B."), Shown("assistant", calls=[("call_fake1", "transfer_to_agent_b", {})])
    assert chat(asked_a) == [Shown("system", "You are a helpful agent."), question, call]
    handed = Shown("tool", "Agent B", answers="call_fake1")
    assert chat(asked_b) == [Shown("system", "Only speak in Haikus."), question, call, handed, Shown("assistant", fake_openai.ANSWER)]
    assert tools(asked_a) == ["transfer_to_agent_b"] and tools(asked_b) == []
    check_totals(trace, 2)


@pytest.mark.parametrize("name", WAYS)
def test_errors(name, way, openai_endpoint):
    printed, trace = trace_of("errors", name, way, openai_endpoint)
    says = "The model `no-such-model` does not exist or you do not have access to it."
    assert printed.startswith("no answer: ") and says in printed
    assert trace.info.state.value == "ERROR"
    step = root(trace)
    assert children(trace, step) == ["chat no-such-model"]
    [call] = named(trace, "chat no-such-model")
    for span in (step, call):
        assert span.status.status_code.value == "ERROR" and says in span.status.description
        [(_, message)] = exceptions(span)
        assert says in message
        assert span.outputs is None
    assert call.attributes["error.type"] == "model_not_found"
    assert call.inputs == [{"role": "user", "parts": [{"type": "text", "content": "Is there anybody?"}]}]
    assert step.span_type == "CHAIN" and step.inputs == {"question": "Is there anybody?"}
    assert trace.info.token_usage is None


def test_azure(way, openai_endpoint):
    key = "azure-fake-key"
    azure = {"AZURE_OPENAI_ENDPOINT": openai_endpoint.removesuffix("/v1"), "AZURE_OPENAI_API_KEY": key, "AZURE_OPENAI_DEPLOYMENT": "my-gpt"}
    printed, trace = trace_of("azure", "gateway", way, openai_endpoint, **azure)
    assert printed.strip() == fake_openai.ANSWER
    [span] = trace.data.spans
    assert span.attributes["gen_ai.provider.name"] == "azure.ai.openai"
    assert span.attributes["gen_ai.request.model"] == "my-gpt" and span.model_name == fake_openai.RESOLVED_MODEL
    assert chat(span) == [Shown("user", "Say hello."), Shown("assistant", fake_openai.ANSWER)]
    check_totals(trace, 1)
    assert key not in json.dumps(span.to_dict())


@pytest.mark.parametrize("name", WAYS)
def test_a_service_with_conversations(name, way, openai_endpoint):
    service, port = f"example-axum-{name}", free_port()
    env, client = way(name, service)
    settings = environment(openai_endpoint, service, **env, PORT=str(port))
    running = subprocess.Popen([EXAMPLES / "axum_service"], env=settings, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    asked = [("trip-7", "ada", "What is there to see?"), ("trip-7", "ada", "And to eat?"), ("trip-8", "bob", "Is it cold?")]
    try:
        assert running.stdout.readline().strip() == f"listening on http://127.0.0.1:{port}"
        for conversation, user, question in asked:
            headers = {"x-conversation": conversation, "x-user": user}
            request = urllib.request.Request(f"http://127.0.0.1:{port}/ask", question.encode(), headers)
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert answer.read().decode() == fake_openai.ANSWER
    finally:
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=30) == 0
    traces = traces_of(client, service, len(asked))
    found = [(trace.info.trace_metadata["mlflow.trace.session"], trace.info.trace_metadata["mlflow.trace.user"], root(trace).inputs) for trace in traces]
    assert sorted(found) == sorted(asked)
    [place] = {trace.info.experiment_id for trace in traces}
    session = client.search_traces(locations=[place], filter_string="metadata.`mlflow.trace.session` = 'trip-7'")
    assert len(session) == 2
    for trace in traces:
        check_any(trace)
        check_totals(trace, 1)
        assert root(trace).span_type == "CHAIN" and root(trace).outputs == fake_openai.ANSWER
        [call] = named(trace, "chat gpt-4o-mini")
        check_model_call(call)
        for span in trace.data.spans:
            assert (span.attributes["gen_ai.prompt.name"], span.attributes["gen_ai.prompt.version"]) == ("travel-guide", "1")


@pytest.mark.parametrize("capture", ["SPAN_ONLY", "NO_CONTENT"])
def test_a_declarative_file(capture, tmp_path, openai_endpoint):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    file = {"OTEL_CONFIG_FILE": str(ROOT / "examples" / "declarative.yaml"), "MLFLOW_TRACKING_URI": uri, "DEPLOYMENT": "tests"}
    if capture != "SPAN_ONLY":
        file["CAPTURE"] = capture
    assert run("chat", environment(openai_endpoint, "not the file's", **file)).strip() == fake_openai.ANSWER
    [trace] = traces_of(MlflowClient(uri), "support-desk")
    check_any(trace)
    assert trace.info.tags["service.name"] == "support-desk" and trace.info.tags["deployment.environment.name"] == "tests"
    [span] = trace.data.spans
    check_model_call(span, temperature=0.5, max_tokens=100)
    check_totals(trace, 1)
    if capture == "SPAN_ONLY":
        assert chat(span)[-1] == Shown("assistant", fake_openai.ANSWER)
    else:
        assert span.inputs is None and span.outputs is None
        assert fake_openai.ANSWER not in json.dumps(span.to_dict()) and "What does a tracer do?" not in json.dumps(span.to_dict())


@pytest.mark.parametrize("program", ["inference", "streaming", "tool_calling", "structured_output", "multimodal", "embeddings"])
def test_conformance_program(program, way, openai_endpoint):
    service = f"conformance-{program}"
    env, client = way("gateway", service)
    run(f"conformance_{program}", environment(openai_endpoint, service, **env))
    count = 2 if program in ("tool_calling", "multimodal") else 1
    traces = traces_of(client, service, count)
    assert len(traces) == count
    for trace in traces:
        check_any(trace)
        [span] = trace.data.spans
        assert span.span_type == ("EMBEDDING" if program == "embeddings" else "CHAT_MODEL")
        assert trace.info.token_usage["input_tokens"] == (5 if program == "embeddings" else 11)


@pytest.mark.parametrize("name", WAYS)
def test_pictures_and_sound_are_shown(name, way, openai_endpoint):
    env, client = way(name, f"shown-multimodal-{name}")
    run("conformance_multimodal", environment(openai_endpoint, f"shown-multimodal-{name}", **env))
    seen, heard = sorted(map(root, traces_of(client, f"shown-multimodal-{name}", 2)), key=lambda span: span.start_time_ns)
    for span, begins, medium in [(seen, "What is in this picture?", "![](data:image/png;base64,"), (heard, "What is in this recording?", "[audio]")]:
        system, user, answer = chat(span)
        assert system == Shown("system", "You are a helpful assistant.") and answer == Shown("assistant", fake_openai.ANSWER)
        assert user.role == "user" and user.text.startswith(f"{begins}\n\n{medium}")


def test_the_tools_of_the_conformance_program_are_shown(way, openai_endpoint):
    env, client = way("gateway", "conformance-tools-shown")
    run("conformance_tool_calling", environment(openai_endpoint, "conformance-tools-shown", **env))
    first, second = sorted(traces_of(client, "conformance-tools-shown", 2), key=lambda trace: trace.info.request_time)
    asked = [
        Shown("system", "You are a helpful assistant."),
        Shown("user", "What is the weather in Seattle?"),
        Shown("assistant", calls=[("call_fake1", "get_current_weather", {"location": "Seattle, WA"})]),
    ]
    assert chat(root(first)) == asked
    assert chat(root(second)) == [*asked, Shown("tool", "50 degrees and raining", answers="call_fake1"), Shown("assistant", fake_openai.ANSWER)]
    assert tools(root(first)) == tools(root(second)) == ["get_current_weather"]
