"""Runs from traces: what MLflow's own client reads of a run equals what is computed here by hand."""

import json
import math
import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from support.gateway import Ports, queue_in
from support.mlflow_server import MlflowServer

EXPERIMENT = "runs"
START = 1_760_000_000_000_000_000
MS = 1_000_000
TOTALS = ["requests", "errors", "tool_calls", "input_tokens", "output_tokens", "total_tokens", "cache_read_input_tokens", "total_cost"]
COLUMNS = ["trace_id", "prompt", "response", "model", "latency_ms", "input_tokens", "output_tokens", "total_tokens", "total_cost"]
ROUTING = {"name": EXPERIMENT, "from": ["span.mlflow.experiment_name"], "create": True}


# --- what is sent -----------------------------------------------------------------------------------------------------


class Trace:
    """An agent that calls a model, and sometimes a tool, which sometimes fails."""

    def __init__(self, number: int, session: str, rng: random.Random, **more):
        self.number, self.session = number, session
        self.id, self.root = rng.randbytes(16), rng.randbytes(8)
        self.chat, self.tool = rng.randbytes(8), rng.randbytes(8) if rng.random() < 0.5 else None
        self.failed = self.tool is not None and rng.random() < 0.3
        self.start = START + number * 50 * MS
        self.latency = rng.randint(5, 45)
        self.input, self.output = rng.randint(1, 4000), rng.randint(1, 900)
        self.cached = rng.randint(0, self.input)
        self.cost = [rng.random() / 7, rng.random() / 3]
        self.first_chunk = rng.randint(1, 4) / 1000
        self.temperature = more.get("temperature", rng.choice([0.2, 0.7]))
        self.attributes = more.get("attributes", {})
        self.resource = {"service.name": "shop", "service.version": "1.2.3", "deployment.environment.name": "test",
                         "vcs.ref.head.revision": "0123abcd", "service.instance.id": "pod-1", **more.get("resource", {})}

    @property
    def name(self) -> str:
        return f"tr-{self.id.hex()}"

    @property
    def end_ms(self) -> int:
        return self.start // MS + self.latency

    def spans(self) -> list:
        """(span id, parent, name, attributes, failed) of each span, the root last, as an SDK exports it."""
        question, answer = f"question {self.number}?", f"answer {self.number}: grün"
        usage = {"input_tokens": self.input, "output_tokens": self.output, "total_tokens": self.input + self.output, "cache_read_input_tokens": self.cached}
        cost = {"input_cost": self.cost[0], "output_cost": self.cost[1], "total_cost": sum(self.cost)}
        chat = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini", "gen_ai.request.temperature": self.temperature,
                "gen_ai.request.max_tokens": 256, "gen_ai.request.top_p": 1.0, "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
                "gen_ai.response.time_to_first_chunk": self.first_chunk,
                "mlflow.chat.tokenUsage": json.dumps(usage), "mlflow.llm.cost": json.dumps(cost)}
        root = {"gen_ai.operation.name": "invoke_agent", "mlflow.spanInputs": json.dumps({"messages": [{"role": "user", "content": question}]}),
                "mlflow.spanOutputs": json.dumps({"choices": [{"message": {"role": "assistant", "content": answer}}]}), **self.attributes}
        if self.session:
            root["session.id"] = self.session
        found = [(self.chat, self.root, "chat gpt-4o-mini", chat, False)]
        if self.tool:
            found.append((self.tool, self.root, "execute_tool search", {"gen_ai.operation.name": "execute_tool"}, self.failed))
        return [*found, (self.root, b"", "invoke_agent", root, self.failed)]


def request(traces: list, part: slice = slice(None)) -> bytes:
    """The spans of traces, or of each trace a part of them."""
    body = ExportTraceServiceRequest()
    for trace in traces:
        group = body.resource_spans.add()
        attributes(group.resource.attributes, trace.resource)
        spans = group.scope_spans.add().spans
        for span_id, parent, name, values, failed in trace.spans()[part]:
            span = spans.add(trace_id=trace.id, span_id=span_id, parent_span_id=parent, name=name, start_time_unix_nano=trace.start,
                             end_time_unix_nano=trace.start + trace.latency * MS)
            attributes(span.attributes, values)
            span.status.code = 2 if failed else 1
    return body.SerializeToString()


def attributes(into, values: dict):
    for key, value in values.items():
        slot = into.add(key=key).value
        if isinstance(value, float):
            slot.double_value = value
        elif isinstance(value, int):
            slot.int_value = value
        else:
            slot.string_value = value


def send(gateway, body: bytes, headers: dict | None = None, seconds: float = 60):
    """As a sender with retries."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            status, _, said = gateway.post(body, headers)
        except OSError as error:
            status, said = 503, error
        if status == 200:
            return
        assert status in {429, 503} and time.monotonic() < deadline, (status, said)
        time.sleep(0.1)


# --- what is expected -------------------------------------------------------------------------------------------------


def totals(traces: list) -> dict:
    return {
        "requests": len(traces), "errors": sum(trace.failed for trace in traces), "tool_calls": sum(trace.tool is not None for trace in traces),
        "input_tokens": sum(trace.input for trace in traces), "output_tokens": sum(trace.output for trace in traces),
        "total_tokens": sum(trace.input + trace.output for trace in traces), "cache_read_input_tokens": sum(trace.cached for trace in traces),
        "total_cost": math.fsum(sum(trace.cost) for trace in traces),
    }


def ordered(traces: list) -> list:
    return sorted(traces, key=lambda trace: (trace.end_ms, trace.name))


def check_run(client: MlflowClient, run, traces: list, ended: bool = True, ours: bool = True):
    """Everything that MLflow's client tells of the run."""
    last = ordered(traces)[-1]
    metrics, expected = run.data.metrics, totals(traces)
    assert {key: metrics.get(key) for key in TOTALS if key != "total_cost"} == {key: value for key, value in expected.items() if key != "total_cost"}
    assert metrics["total_cost"] == pytest.approx(expected["total_cost"], rel=1e-12)
    assert metrics["latency_ms"] == last.latency
    latencies = {(point.timestamp, point.value) for point in client.get_metric_history(run.info.run_id, "latency_ms")}
    assert latencies == {(trace.end_ms, trace.latency) for trace in traces}
    chunks = {(point.timestamp, round(point.value, 6)) for point in client.get_metric_history(run.info.run_id, "time_to_first_chunk_ms")}
    assert chunks == {(trace.end_ms, round(trace.first_chunk * 1000, 6)) for trace in traces}
    history = client.get_metric_history(run.info.run_id, "total_tokens")
    newest = max(history, key=lambda point: (point.step, point.timestamp, point.value))
    assert newest.value == expected["total_tokens"]
    temperatures = {str(trace.temperature) for trace in traces}
    varying = {"temperature": {value: sum(str(trace.temperature) == value for trace in traces) for value in temperatures}} if len(temperatures) > 1 else {}
    assert json.loads(run.data.tags["otel_mlflow.varying_params"]) == varying
    if ended:
        temperature = "varying" if varying else temperatures.pop()
        assert run.data.params == {"model": "gpt-4o-mini", "temperature": temperature, "max_tokens": "256", "top_p": "1.0"}
    if ours and ended:
        assert run.info.status == ("FAILED" if last.failed else "FINISHED")
        assert run.info.end_time == last.end_ms
    if ours:
        tags = {"service.name": "shop", "service.version": "1.2.3", "deployment.environment.name": "test", "mlflow.source.git.commit": "0123abcd"}
        assert tags.items() <= run.data.tags.items()


def check_links(client: MlflowClient, run, traces: list):
    """The traces of MLflow's run page."""
    found, token = [], None
    while True:
        page = client.search_traces(locations=[run.info.experiment_id], run_id=run.info.run_id, max_results=500, page_token=token, include_spans=False)
        found += page
        token = page.token
        if not token:
            break
    assert sorted(trace.info.trace_id for trace in found) == sorted(trace.name for trace in traces)


def check_table(server: MlflowServer, run, traces: list):
    import mlflow

    mlflow.set_tracking_uri(server.url)
    mlflow.set_experiment(EXPERIMENT)
    assert json.loads(run.data.tags["mlflow.loggedArtifacts"]) == [{"path": "genai_predictions.json", "type": "table"}]
    table = mlflow.load_table("genai_predictions.json", run_ids=[run.info.run_id])
    assert list(table.columns) == COLUMNS
    rows = [list(row) for row in table.itertuples(index=False)]
    expected = [[trace.name, f"question {trace.number}?", f"answer {trace.number}: grün", "gpt-4o-mini-2024-07-18", trace.latency, trace.input,
                 trace.output, trace.input + trace.output, sum(trace.cost)] for trace in ordered(traces)]
    assert [row[:-1] for row in rows] == [row[:-1] for row in expected]
    # pandas reads decimals with 15 digits.
    assert [row[-1] for row in rows] == pytest.approx([row[-1] for row in expected], rel=1e-12)


def runs_of(client: MlflowClient, experiment: str = EXPERIMENT) -> list:
    found = client.get_experiment_by_name(experiment)
    return list(client.search_runs([found.experiment_id], run_view_type=ViewType.ACTIVE_ONLY, max_results=1000)) if found else []


def eventually(check, seconds: float = 90):
    """Repeats a check until it holds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return check()
        except (AssertionError, AttributeError, LookupError, ValueError, MlflowException):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


def by_key(runs: list) -> dict:
    keys = [run.data.tags["otel_mlflow.run_of"] for run in runs]
    assert len(keys) == len(set(keys)), "a run was made twice"
    return {run.data.tags["otel_mlflow.run_of"]: run for run in runs}


# --- sessions through two gateways ------------------------------------------------------------------------------------


@pytest.fixture
def served(workspace):
    """Real MLflow on a database, with its artifacts in a folder of its own."""
    started = []

    def serve(uri: str) -> MlflowServer:
        server = MlflowServer(workspace / f"served-{len(started)}-{time.time_ns()}", uri)
        started.append(server)
        return server

    yield serve
    for server in started:
        server.stop()


def destination(kind: str, empty_database, served) -> tuple[str, MlflowServer, dict]:
    """Where gateways write to, MLflow that reads it, and what the gateways must know of it."""
    uri = empty_database("postgresql" if kind == "postgresql" else "sqlite")
    server = served(uri)
    if kind == "rest":
        return server.url, server, {}
    return uri, server, {"artifacts_destination": str(server.process.log.parent / "artifacts")}


@pytest.mark.parametrize(("kind", "sessions", "count"), [("sqlite", 50, 1000), ("postgresql", 50, 1000), ("rest", 10, 100)])
def test_sessions_through_two_gateways_with_retries_and_a_restart(kind, sessions, count, empty_database, served, gateway, workspace):
    """Spans of one trace come in any order, through any gateway, some of them twice, and one gateway dies in the middle."""
    rng = random.Random(f"sessions {kind}")
    traces = [Trace(number, f"session-{number % sessions}", rng) for number in range(count)]
    uri, server, more = destination(kind, empty_database, served)
    settings = {"experiment": ROUTING, "runs": {"mode": "session", "idle_timeout": "4s", "flush_interval": "300ms"}, **more}
    ports = [Ports(), Ports()]
    queues = [queue_in(workspace / f"queue-{kind}-{number}") for number in range(2)]
    gateways = [gateway(uri, ports=port, sending_queue=queue, **settings) for port, queue in zip(ports, queues)]
    bodies = []
    for at in range(0, count, 10):
        some = traces[at:at + 10]
        bodies += [request(some)] if rng.random() < 0.5 else [request(some, slice(None, -1)), request(some, slice(-1, None))]
    bodies += rng.sample(bodies, len(bodies) // 3)
    rng.shuffle(bodies)

    def deliver(job: tuple[int, bytes]):
        send(gateways[job[0]], job[1])

    half = len(bodies) // 2
    with ThreadPoolExecutor(8) as senders:
        list(senders.map(deliver, [(number % 2, body) for number, body in enumerate(bodies[:half])]))
        gateways[0].process.child.kill()
        gateways[0].process.wait()
        gateways[0] = gateway(uri, ports=Ports(), sending_queue=queues[0], **settings)
        list(senders.map(deliver, [(number % 2, body) for number, body in enumerate(bodies[half:])]))
    client = server.client()

    def check():
        runs = by_key(runs_of(client))
        assert sorted(runs) == sorted(f"session-{number}" for number in range(sessions))
        assert {run.info.status for run in runs.values()} <= {"FINISHED", "FAILED"}
        for key, run in runs.items():
            check_run(client, run, [trace for trace in traces if trace.session == key])

    eventually(check)
    for key, run in by_key(runs_of(client)).items():
        mine = [trace for trace in traces if trace.session == key]
        check_links(client, run, mine)
        check_table(server, run, mine)


# --- each mode --------------------------------------------------------------------------------------------------------


def start(kind: str, mode: str, empty_database, served, gateway, **runs):
    uri, server, more = destination(kind, empty_database, served)
    settings = {"mode": mode, "idle_timeout": "2s", "flush_interval": "200ms", **runs}
    return gateway(uri, experiment=ROUTING, runs=settings, **more), server


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "rest"])
def test_a_run_for_each_trace_ends_with_it(kind, empty_database, served, gateway):
    running, server = start(kind, "trace", empty_database, served, gateway, idle_timeout="1h")
    traces = [Trace(number, "", random.Random(number)) for number in range(6)]
    send(running, request(traces, slice(None, -1)))
    send(running, request(traces, slice(-1, None)))
    client = server.client()

    def check():
        runs = by_key(runs_of(client))
        assert sorted(runs) == sorted(trace.name for trace in traces)
        for trace in traces:
            check_run(client, runs[trace.name], [trace])

    eventually(check)
    for trace in traces:
        check_links(client, by_key(runs_of(client))[trace.name], [trace])


@pytest.mark.parametrize("kind", ["sqlite", "rest"])
def test_a_trace_that_never_ends_kills_its_run(kind, empty_database, served, gateway):
    running, server = start(kind, "trace", empty_database, served, gateway)
    trace = Trace(1, "", random.Random(1))
    send(running, request([trace], slice(None, -1)))

    def check():
        (run,) = runs_of(server.client())
        assert run.info.status == "KILLED"
        assert run.data.metrics["input_tokens"] == trace.input

    eventually(check)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "rest"])
def test_a_run_for_each_instance_of_a_service(kind, empty_database, served, gateway):
    running, server = start(kind, "service", empty_database, served, gateway, name="{mode} {key}")
    rng = random.Random(kind)
    pods = {pod: [Trace(number, "", rng, resource={"service.instance.id": pod}) for number in range(8)] for pod in ("a", "b")}
    for traces in pods.values():
        send(running, request(traces))
    client = server.client()

    def check():
        runs = by_key(runs_of(client))
        assert sorted(runs) == ["shop/a", "shop/b"]
        for pod, traces in pods.items():
            assert runs[f"shop/{pod}"].info.run_name == f"service shop/{pod}"
            check_run(client, runs[f"shop/{pod}"], traces)

    eventually(check)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "rest"])
def test_runs_named_by_an_attribute_and_runs_of_others(kind, empty_database, served, gateway):
    running, server = start(kind, "attribute", empty_database, served, gateway)
    client = server.client()
    experiment = client.create_experiment(EXPERIMENT) if client.get_experiment_by_name(EXPERIMENT) is None else client.get_experiment_by_name(EXPERIMENT).experiment_id
    existing = client.create_run(experiment, run_name="theirs", tags={"service.name": "keep"})
    by_header = client.create_run(experiment, run_name="header")
    rng = random.Random(kind)
    named = [Trace(number, "", rng, attributes={"mlflow.run_name": "nightly"}, temperature=0.2) for number in range(4)]
    theirs = [Trace(number, "", rng, attributes={"mlflow.run_id": existing.info.run_id}, temperature=0.2) for number in range(4)]
    headed = [Trace(number, "", rng) for number in range(3)]
    lone = [Trace(number, "", rng) for number in range(2)]
    for traces in (named, theirs, lone):
        send(running, request(traces))
    send(running, request(headed), {"x-mlflow-run-id": by_header.info.run_id})

    def check():
        runs = {run.info.run_name: run for run in runs_of(client)}
        assert sorted(runs) == ["header", "nightly", "theirs"]
        check_run(client, runs["nightly"], named)
        check_run(client, runs["theirs"], theirs, ours=False)
        check_run(client, runs["header"], headed, ours=False)
        assert runs["theirs"].info.status == "RUNNING"
        assert runs["theirs"].data.tags["service.name"] == "keep"

    eventually(check)
    check_links(client, client.get_run(existing.info.run_id), theirs)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "rest"])
def test_a_late_span_corrects_the_totals_of_an_ended_run(kind, empty_database, served, gateway):
    running, server = start(kind, "session", empty_database, served, gateway)
    rng = random.Random(kind)
    traces = [Trace(number, "s", rng, temperature=0.2) for number in range(5)]
    send(running, request(traces))
    client = server.client()
    eventually(lambda: [check_run(client, run, traces) for run in by_key(runs_of(client)).values()][0])
    # The same spans once more, with fewer tokens.
    for trace in traces:
        trace.input, trace.cached = 1, 0
    send(running, request(traces))

    def check():
        (run,) = runs_of(client)
        check_run(client, run, traces)

    eventually(check)


def test_two_runs_of_one_key_on_a_server_become_one(empty_database, served, gateway):
    """As if another gateway had made a run for the same session in the same moment: the older one stays."""
    running, server = start("rest", "session", empty_database, served, gateway)
    rng = random.Random("twins")
    traces = [Trace(number, "s", rng, temperature=0.2) for number in range(6)]
    send(running, request(traces[:3]))
    client = server.client()
    (ours,) = eventually(lambda: by_key(runs_of(client))["s"] and runs_of(client))
    keys = ["otel_mlflow.run_key", "otel_mlflow.run_mode", "otel_mlflow.run_of"]
    twin = client.create_run(ours.info.experiment_id, start_time=START // MS - 5, tags={key: ours.data.tags[key] for key in keys})
    send(running, request(traces[3:]))

    def check():
        (run,) = runs_of(client)
        assert run.info.run_id == twin.info.run_id
        check_run(client, run, traces)
        check_links(client, run, traces)

    eventually(check)
    # What comes now goes there at once.
    more = Trace(6, "s", rng, temperature=0.2)
    send(running, request([more]))
    eventually(lambda: check_run(client, client.get_run(twin.info.run_id), [*traces, more]))


def test_no_runs_unless_asked_for(empty_database, served, gateway):
    uri, server, _ = destination("sqlite", empty_database, served)
    running = gateway(uri, experiment=ROUTING)
    send(running, request([Trace(1, "s", random.Random(1))]))
    running.terminate()
    assert runs_of(server.client()) == []


# --- evaluations ------------------------------------------------------------------------------------------------------


def evaluated(trace: Trace) -> bytes:
    """The trace with two opinions of its chat."""
    body = ExportTraceServiceRequest.FromString(request([trace]))
    chat = body.resource_spans[0].scope_spans[0].spans[0]
    for number, values in enumerate([
        {"gen_ai.evaluation.name": "relevance", "gen_ai.evaluation.score.value": 0.25, "gen_ai.evaluation.score.label": "poor",
         "gen_ai.evaluation.explanation": "off topic", "gen_ai.response.id": "chatcmpl-1"},
        {"gen_ai.evaluation.name": "faithful", "gen_ai.evaluation.score.label": "yes", "gen_ai.request.model": "judge-1"},
    ]):
        event = chat.events.add(name="gen_ai.evaluation.result", time_unix_nano=trace.start + number * MS)
        attributes(event.attributes, values)
    return body.SerializeToString()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "rest"])
def test_evaluation_events_become_assessments_once(kind, empty_database, served, gateway):
    uri, server, _ = destination(kind, empty_database, served)
    gateways = [gateway(uri, experiment=ROUTING) for _ in range(2)]
    trace = Trace(1, "s", random.Random(kind))
    body = evaluated(trace)
    with ThreadPoolExecutor(4) as senders:
        list(senders.map(lambda number: send(gateways[number % 2], body), range(6)))

    def both() -> dict:
        found = {one.name: one for one in server.client().get_trace(trace.name).info.assessments}
        assert sorted(found) == ["faithful", "relevance"]
        return found

    assessments = eventually(both)
    for one in gateways:
        assert one.terminate() == 0, "the queue is not delivered"
    found = server.client().get_trace(trace.name).info.assessments
    assert sorted(one.name for one in found) == ["faithful", "relevance"], found
    relevance, faithful = assessments["relevance"], assessments["faithful"]
    assert (relevance.feedback.value, relevance.rationale, relevance.source.source_type) == (0.25, "off topic", "CODE")
    assert relevance.span_id == trace.chat.hex()
    assert relevance.metadata["gen_ai.evaluation.score.label"] == "poor" and relevance.metadata["gen_ai.response.id"] == "chatcmpl-1"
    assert (faithful.feedback.value, faithful.source.source_type, faithful.source.source_id) == ("yes", "LLM_JUDGE", "judge-1")
