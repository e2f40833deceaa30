"""Traces whose spans come at different times, or whose root never comes, and what the collector says of itself."""

import subprocess
import time

import pytest
from mlflow import MlflowClient
from mlflow.entities import TraceState

from support.gateway import Ports, binary, config, query, queue_in, stored
from support.otlp import ids, trace_request
from support.process import answers, http

AWAITED, NOT_RECEIVED = "otel_mlflow.end_awaited", "otel_mlflow.end_not_received"
DATABASES = ["sqlite", "postgresql"]


def parts(spans: int = 4) -> list:
    """A trace as one request per span, its root first; the root lasts for two seconds."""
    whole = trace_request(spans=spans)
    requests = []
    for span in whole.resource_spans[0].scope_spans[0].spans:
        one = type(whole)()
        one.CopyFrom(whole)
        del one.resource_spans[0].scope_spans[0].spans[:]
        one.resource_spans[0].scope_spans[0].spans.append(span)
        requests.append(one)
    root = requests[0].resource_spans[0].scope_spans[0].spans[0]
    root.end_time_unix_nano = root.start_time_unix_nano + 2_000_000_000
    return requests


def trace_id(request) -> str:
    return next(iter(ids(request)))[0]


def send(gateway, request, written_to: str | None = None):
    """Answered as soon as the queue has it; with a database, waits until it is there."""
    status, _, said = gateway.post(request.SerializeToString())
    assert status == 200, said
    if written_to:
        assert stored(written_to, request) == len(ids(request))


def info(uri: str, trace: str):
    return MlflowClient(tracking_uri=uri).get_trace(trace).info


def wait_for(condition, what: str, seconds: float = 30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"no {what} after {seconds} s"
        time.sleep(0.1)


def state(uri: str, trace: str) -> str:
    return query(uri, "SELECT status FROM trace_info WHERE request_id = ?", (trace,))[0][0]


def metric(gateway, series: str) -> float:
    text = http("GET", gateway.admin("/metrics"))[2].decode()
    values = [line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith(series + " ")]
    return float(values[0]) if values else 0.0


def closing(enabled: bool = False) -> dict:
    return {"enabled": enabled, "close_after": "1s", "root_grace": "200ms", "idle_timeout": "500ms"}


@pytest.mark.parametrize("enabled", [False, True])
@pytest.mark.parametrize("database", DATABASES)
def test_a_trace_without_a_root_is_closed_and_a_late_root_repairs_it(empty_database, gateway, database, enabled):
    uri = empty_database(database)
    running = gateway(uri, trace_assembly=closing(enabled))
    root, *children = parts()
    trace = trace_id(root)
    for child in children[:2]:
        send(running, child, written_to=uri)
    wait_for(lambda: state(uri, trace) != "IN_PROGRESS", "end of the trace")
    closed = info(uri, trace)
    assert closed.state == TraceState.STATE_UNSPECIFIED
    assert NOT_RECEIVED in closed.tags and AWAITED not in closed.tags
    assert metric(running, 'otel_mlflow_exporter_closed_without_root_traces_total{exporter="mlflow"}') == 1
    found = MlflowClient(tracking_uri=uri).search_traces(locations=[closed.experiment_id], filter_string=f"tags.`{NOT_RECEIVED}` LIKE '20%'")
    assert [one.info.trace_id for one in found] == [trace]

    send(running, children[2], written_to=uri)
    assert info(uri, trace).state == TraceState.STATE_UNSPECIFIED
    send(running, root, written_to=uri)
    repaired = MlflowClient(tracking_uri=uri).get_trace(trace)
    assert repaired.info.state == TraceState.OK
    assert repaired.info.execution_duration == 2_000
    assert repaired.info.tags["mlflow.traceName"] == "request"
    assert NOT_RECEIVED not in repaired.info.tags and AWAITED not in repaired.info.tags
    assert len(repaired.data.spans) == 4


@pytest.mark.parametrize("database", DATABASES)
def test_a_restart_forgets_no_open_trace(empty_database, gateway, database):
    uri = empty_database(database)
    first = gateway(uri, trace_assembly={"close_after": "1h"})
    _, child, *_ = parts()
    send(first, child, written_to=uri)
    assert state(uri, trace_id(child)) == "IN_PROGRESS"
    first.process.child.kill()
    first.process.child.wait()
    assert AWAITED in info(uri, trace_id(child)).tags
    # Two gateways: the trace is closed once, and neither complains.
    both = [gateway(uri, trace_assembly=closing()) for _ in range(2)]
    wait_for(lambda: state(uri, trace_id(child)) == "STATE_UNSPECIFIED", "end of the trace")
    series = 'otel_mlflow_exporter_closed_without_root_traces_total{exporter="mlflow"}'
    wait_for(lambda: sum(metric(one, series) for one in both) == 1, "counted trace")


def test_strict_leaves_traces_as_mlflow_does(empty_database, gateway):
    uri = empty_database("sqlite")
    running = gateway(uri, compat="strict", trace_assembly=closing())
    _, child, *_ = parts()
    send(running, child, written_to=uri)
    time.sleep(2.5)
    assert state(uri, trace_id(child)) == "IN_PROGRESS"
    assert query(uri, "SELECT key FROM trace_tags WHERE key LIKE 'otel_mlflow.%'") == []


@pytest.mark.parametrize("database", DATABASES)
def test_a_gathered_trace_is_written_once(empty_database, gateway, database):
    uri = empty_database(database)
    running = gateway(uri, trace_assembly={"enabled": True, "root_grace": "500ms", "idle_timeout": "60s", "max_wait": "60s"})
    root, *children = parts(spans=6)
    for child in children:
        send(running, child)
    gathered = sum(len(child.SerializeToString()) for child in children)
    wait_for(lambda: metric(running, 'otel_mlflow_exporter_gathered_bytes{exporter="mlflow"}') == gathered, "gathered spans")
    assert query(uri, "SELECT * FROM spans") == []
    send(running, root, written_to=uri)
    assert query(uri, "SELECT count(*) FROM spans") == [(6,)]
    assert metric(running, 'otel_mlflow_exporter_write_duration_seconds_count{exporter="mlflow"}') == 1
    assert metric(running, 'otel_mlflow_exporter_assembled_traces_total{component="mlflow",reason="root"}') == 1
    trace = MlflowClient(tracking_uri=uri).get_trace(trace_id(root))
    assert trace.info.state == TraceState.OK and len(trace.data.spans) == 6


def test_a_stop_writes_what_is_gathered(empty_database, gateway):
    uri = empty_database("sqlite")
    running = gateway(uri, trace_assembly={"enabled": True, "idle_timeout": "600s", "max_wait": "600s"})
    _, child, *_ = parts()
    send(running, child)
    wait_for(lambda: metric(running, 'otel_mlflow_exporter_gathered_traces{exporter="mlflow"}') == 1, "gathered trace")
    assert running.terminate() == 0
    assert query(uri, "SELECT count(*) FROM spans") == [(1,)]


@pytest.mark.parametrize("database", DATABASES)
def test_what_is_gathered_survives_a_kill(empty_database, gateway, tmp_path, database):
    """The queue forgets a request when its spans are written, not when they are gathered."""
    uri = empty_database(database)
    waiting = {"enabled": True, "idle_timeout": "600s", "max_wait": "600s"}
    first = gateway(uri, trace_assembly=waiting, sending_queue=queue_in(tmp_path))
    root, *children = parts()
    for child in children:
        send(first, child)
    wait_for(lambda: metric(first, 'otel_mlflow_exporter_gathered_traces{exporter="mlflow"}') == 1, "gathered trace")
    first.process.child.kill()
    first.process.child.wait()
    again = gateway(uri, trace_assembly=waiting, sending_queue=queue_in(tmp_path))
    send(again, root)
    assert stored(uri, root, *children) == 4
    assert info(uri, trace_id(root)).state == TraceState.OK


def test_readyz_fails_when_exports_have_failed_for_long_enough(workspace, gateway):
    from support.postgres import Postgres

    server = Postgres(workspace / "postgres-readyz.log")
    try:
        ports = Ports()
        settings = config(server.database(), ports)
        settings["extensions"]["admin"]["recovery_duration"] = "3600s"
        uri = settings["exporters"]["mlflow"]["tracking_uri"]
        patient = gateway("", settings=settings, ports=ports)
        hasty = gateway(uri)
        for one in (patient, hasty):
            send(one, trace_request(), written_to=uri)
        server.stop_server()
        waiting = [trace_request() for _ in range(2)]
        for one, request in zip((patient, hasty), waiting):
            send(one, request)
        wait_for(lambda: b'"failing_for_seconds"' in http("GET", patient.admin("/readyz"))[2], "failing exporter")
        assert answers(patient.admin("/readyz"))
        wait_for(lambda: answers(hasty.admin("/readyz"), 503), "unready exporter")
        assert b'"reason"' in http("GET", hasty.admin("/readyz"))[2]
        assert status_command(hasty)[0] == 1
        server.start()
        assert stored(uri, *waiting) == 4
        wait_for(lambda: answers(hasty.admin("/readyz")), "recovery")
    finally:
        server.stop()


def status_command(gateway) -> tuple[int, str, str]:
    done = subprocess.run([binary(), "--config", gateway.file, "status"], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_status_tells_a_person(empty_database, gateway):
    uri = empty_database("sqlite")
    running = gateway(uri)
    send(running, trace_request(spans=3), written_to=uri)
    code, said, _ = status_command(running)
    assert code == 0, said
    assert said.startswith("ready: otel-mlflow") and uri in said
    counted = [line.split() for line in said.splitlines()]
    assert ["exporter_sent_spans", "mlflow", "3"] in counted
    assert ["receiver_accepted_spans", "otlp", "http", "3"] in counted
    running.terminate()
    code, said, error = status_command(running)
    assert (code, said) == (1, "") and "no collector runs there" in error
