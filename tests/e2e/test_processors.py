"""Processors in the real binary, in front of a real SQLite database."""

import json
import os
import random
import re
import time

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from support.gateway import UNQUEUED, Ports, config, query, queue_in, sqlite_path, stored
from support.otlp import attribute
from support.process import http

CANARY = "sk-canary0123456789"


@pytest.fixture
def pipeline(gateway, empty_database):
    """Starts a gateway with processors: `pipeline({"batch": {}})` gives it and its database. Without a queue, so that an
    answer says what the processors have made of a request."""

    def start(processors: dict, receiver: dict | None = None, uri: str | None = None, queue: dict = UNQUEUED):
        uri, ports = uri or empty_database("sqlite"), Ports()
        settings = config(uri, ports, sending_queue=queue)
        settings["processors"] = processors
        settings["receivers"]["otlp"].update(receiver or {})
        settings["service"]["pipelines"]["traces"]["processors"] = list(processors)
        return gateway(uri, settings, ports), uri

    return start


def request(*spans: dict) -> ExportTraceServiceRequest:
    """A request of spans with `trace`, `name`, `parent`, `error`, `attributes`."""
    built = ExportTraceServiceRequest()
    resource_spans = built.resource_spans.add()
    attribute(resource_spans.resource.attributes, "service.name", "shop")
    scope_spans = resource_spans.scope_spans.add()
    now = time.time_ns()
    for wanted in spans:
        span = scope_spans.spans.add(
            trace_id=wanted["trace"], span_id=os.urandom(8), name=wanted.get("name", "chat"), start_time_unix_nano=now,
            end_time_unix_nano=now + 1_000_000, parent_span_id=wanted.get("parent", b""),
        )
        if wanted.get("error"):
            span.status.code = 2
        for key, value in wanted.get("attributes", {}).items():
            attribute(span.attributes, key, value)
    return built


def send(gateway, body: ExportTraceServiceRequest):
    status, _, answer = gateway.post(body.SerializeToString())
    assert status == 200, answer


def names(uri: str) -> list[str]:
    return sorted(row[0] for row in query(uri, "SELECT name FROM spans"))


def traces(uri: str) -> set[str]:
    return {row[0].removeprefix("tr-") for row in query(uri, "SELECT request_id FROM trace_info")}


def metric(gateway, line: str) -> float:
    _, _, body = http("GET", gateway.admin("/metrics"))
    found = re.search(rf"^otel_mlflow_{re.escape(line)} (.*)$", body.decode(), re.MULTILINE)
    return float(found.group(1)) if found else 0.0


def test_a_chain_filters_changes_and_redacts_in_its_order(pipeline):
    """Scenario: a secret in JSON in JSON, in an event, a link, the resource and a name.
    Guarantees: no byte of the database holds it, and what was JSON is JSON."""
    gateway, uri = pipeline({
        "filter": {"spans": {"exclude": {"match_type": "regexp", "span_names": ["^GET /health"]}}},
        "attributes": {"actions": [
            {"key": "user.email", "action": "hash"}, {"key": "stage", "action": "insert", "value": "test"},
            {"key": "noise", "action": "delete"},
        ]},
        "redact": {"blocked_values": ["sk-canary[0-9]+"], "blocked_key_patterns": ["(?i)password"]},
    })
    deep = json.dumps([{"role": "user", "parts": [{"type": "text", "content": json.dumps({"key": CANARY, "password": "hunter2"})}]}])
    body = request(
        {"trace": os.urandom(16), "name": f"chat {CANARY}", "attributes": {
            "gen_ai.input.messages": deep, "gen_ai.prompt.0.content": f"use {CANARY}", "user.email": "ann@example.com",
            "noise": "much", "db.password": "hunter2",
        }},
        {"trace": os.urandom(16), "name": "GET /healthz"},
    )
    span = body.resource_spans[0].scope_spans[0].spans[0]
    attribute(span.events.add(name=f"event {CANARY}", time_unix_nano=span.start_time_unix_nano).attributes, "e", deep)
    attribute(span.links.add(trace_id=os.urandom(16), span_id=os.urandom(8)).attributes, "l", deep)
    attribute(body.resource_spans[0].resource.attributes, "host.token", CANARY)
    send(gateway, body)

    assert names(uri) == ["chat ****"]
    rows = json.loads(query(uri, "SELECT content FROM spans")[0][0])
    messages = rows["attributes"]["gen_ai.input.messages"]
    while isinstance(messages, str):
        messages = json.loads(messages)
    assert json.loads(messages[0]["parts"][0]["content"]) == {"key": "****", "password": "****"}
    assert "ann@example.com" not in json.dumps(rows) and "noise" not in rows["attributes"]
    assert json.loads(rows["attributes"]["stage"]) == "test"
    assert metric(gateway, 'processor_dropped_spans_total{component="filter",reason="filtered"}') == 1
    gateway.terminate()
    folder, name = os.path.split(sqlite_path(uri))
    stored = b"".join(open(os.path.join(folder, file), "rb").read() for file in os.listdir(folder) if file.startswith(name))
    for secret in (CANARY, "hunter2"):
        assert secret.encode() not in stored


def test_two_gateways_sample_the_same_traces(pipeline):
    chance = random.Random(5)
    ids = [chance.randbytes(16) for _ in range(400)]
    kept = []
    for settings in ({"hash_seed": 22, "sampling_percentage": 25}, {"hash_seed": 22, "sampling_percentage": 25}, {"sampling_percentage": 25}):
        gateway, uri = pipeline({"probabilistic_sampler": settings})
        send(gateway, request(*({"trace": trace} for trace in ids)))
        kept.append(traces(uri))
        assert metric(gateway, 'processor_dropped_spans_total{component="probabilistic_sampler",reason="not_sampled"}') == 400 - len(kept[-1])
    assert kept[0] == kept[1] != kept[2]
    assert all(60 < len(one) < 140 for one in kept)


def test_tail_sampling_keeps_errors_and_answers_when_it_has_decided(pipeline):
    gateway, uri = pipeline({"tail_sampling": {
        "decision_wait": "2s", "decision_wait_after_root_received": "0s",
        "policies": [
            {"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}},
            {"name": "expensive", "type": "gen_ai_usage", "gen_ai_usage": {"min_tokens": 1000}},
        ],
    }})
    good, bad, dear, orphan = (os.urandom(16) for _ in range(4))
    child = os.urandom(8)
    send(gateway, request(
        {"trace": good, "parent": child}, {"trace": good}, {"trace": bad, "parent": child, "error": True}, {"trace": bad},
        {"trace": dear, "attributes": {"gen_ai.usage.input_tokens": "1500"}},
    ))
    assert traces(uri) == {bad.hex(), dear.hex()}
    # Nothing ends the wait of an orphan but the time; late spans follow what was decided.
    send(gateway, request({"trace": orphan, "parent": child, "error": True}, {"trace": bad, "parent": child, "name": "late"}, {"trace": good, "parent": child, "name": "late"}))
    assert traces(uri) == {bad.hex(), dear.hex(), orphan.hex()}
    assert names(uri).count("late") == 1
    assert metric(gateway, 'processor_dropped_spans_total{component="tail_sampling",reason="not_sampled"}') == 3


@pytest.mark.parametrize("queued", [False, True], ids=["no queue", "queue"])
def test_what_waits_is_decided_and_delivered_when_the_gateway_stops(pipeline, tmp_path, queued):
    import threading

    waiting_stages = {
        "tail_sampling": {"decision_wait": "1h", "policies": [{"name": "all", "type": "always_sample"}]},
        "batch": {"timeout": "1h"},
    }
    gateway, uri = pipeline(waiting_stages, queue=queue_in(tmp_path) if queued else UNQUEUED)
    answers = []
    body = request({"trace": os.urandom(16), "parent": os.urandom(8)})
    sender = threading.Thread(target=lambda: answers.append(gateway.post(body.SerializeToString())[0]))
    sender.start()
    waiting = 'processor_tail_sampling_sampling_traces_on_memory{processor="tail_sampling"}'
    gateway.process.wait_for(lambda: metric(gateway, waiting) == 1, "the trace to wait")
    assert gateway.terminate() == 0
    sender.join()
    assert answers == [200]
    assert names(uri) == ["chat"]


def test_a_queue_before_the_processors_keeps_what_they_hold_when_the_gateway_is_killed(pipeline, tmp_path):
    held = {"tail_sampling": {"decision_wait": "1h", "policies": [{"name": "all", "type": "always_sample"}]}}
    gateway, uri = pipeline(held, queue=queue_in(tmp_path))
    body = request({"trace": os.urandom(16), "parent": os.urandom(8)})
    send(gateway, body)
    gateway.process.child.kill()
    gateway.process.wait()
    pipeline({"batch": {"timeout": "100ms"}}, uri=uri, queue=queue_in(tmp_path))
    assert stored(uri, body) == 1


def test_a_span_that_is_too_large_is_cut_and_its_neighbour_is_not(pipeline):
    gateway, uri = pipeline({}, {"max_span_size": "8KiB"})
    messages = json.dumps([{"role": "system", "content": "Be kind."}, {"role": "user", "content": "x" * 100_000}])
    small, large = os.urandom(16), os.urandom(16)
    send(gateway, request({"trace": large, "attributes": {"gen_ai.input.messages": messages}}, {"trace": small, "attributes": {"a": "y" * 5000}}))
    content = {row[0]: json.loads(row[1])["attributes"] for row in query(uri, "SELECT trace_id, content FROM spans")}
    cut = content[f"tr-{large.hex()}"]
    assert int(cut["otel_mlflow.cut_from_bytes"]) > 100_000
    left = cut["gen_ai.input.messages"]
    while isinstance(left, str):
        left = json.loads(left)
    assert left[0]["content"] == "Be kind." and left[1]["content"].endswith("bytes cut]")
    assert "otel_mlflow.cut_from_bytes" not in content[f"tr-{small.hex()}"]


def test_requests_beyond_the_memory_are_told_to_come_again(pipeline):
    gateway, uri = pipeline(
        {"tail_sampling": {"decision_wait": "1s", "policies": [{"name": "all", "type": "always_sample"}]}}, {"max_memory": "64KiB"},
    )
    import concurrent.futures

    def deliver(_):
        body, tries = request({"trace": os.urandom(16), "parent": b"12345678", "attributes": {"a": "z" * 20_000}}), 0
        while True:
            status, headers, _ = gateway.post(body.SerializeToString())
            if status == 200:
                return tries
            assert status == 429 and int({name.lower(): value for name, value in dict(headers).items()}["retry-after"]) >= 1
            tries += 1
            time.sleep(0.2)

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        tries = list(pool.map(deliver, range(6)))
    assert sum(tries) > 0
    assert len(names(uri)) == 6
