"""The durable queue in the real binary: nothing that was accepted is lost, and nothing is counted twice.

`CRASH_ROUNDS=100` makes the crash tests as long as a release needs them; a few rounds are the default.
"""

import os
import random
import re
import subprocess
import threading
import time

import pytest

from support.gateway import Ports, binary, config, query, queue_in, stored
from support.mlflow_server import MlflowServer
from support.otlp import attribute, ids, trace_request
from support.process import answers, free_port, http
from support.senders import Senders, check_once, delivered, metrics, with_tokens

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "4"))


# --- crashes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_killed_at_any_moment_nothing_accepted_is_lost_or_doubled(kind, empty_database, gateway, tmp_path):
    """SIGKILL under load, again and again, on one queue and one database."""
    uri, ports, rng = empty_database(kind), Ports(), random.Random(kind)
    running = gateway(uri, ports=ports, sending_queue=queue_in(tmp_path))
    senders = Senders(running.http)
    try:
        for _ in range(ROUNDS):
            time.sleep(rng.uniform(0.05, 1.5))
            running.process.child.kill()
            running.process.wait()
            # Not ready is no matter: what counts is that it starts, whatever the last one left.
            running = gateway(uri, ports=ports, ready=False, sending_queue=queue_in(tmp_path))
            running.process.wait_for(lambda: answers(running.admin("/livez")), "answer to /livez")
        time.sleep(1)
    finally:
        kept = senders.stop()
    assert len(kept) > ROUNDS, "there was no load"
    delivered(running)
    check_once(uri, kept)
    assert metrics(running, "exporter_dead_letter_spans_total") == 0
    assert metrics(running, "exporter_queue_dropped_requests_total") == 0


# --- outages ----------------------------------------------------------------------------------------------------------


def test_an_outage_of_the_server_under_load(workspace, gateway, empty_database):
    """Senders notice nothing; /readyz and /metrics tell; afterwards everything is there."""
    uri = empty_database("sqlite")
    folder = workspace / "outage"
    server = MlflowServer(folder, uri)
    try:
        running = gateway(server.url, retry_on_failure={"initial_interval": "200ms", "max_interval": "1s"})
        # MLflow's own server takes some hundred spans a second: it has to catch up later.
        senders = Senders(running.http, count=2, pause=0.3)
        time.sleep(1)
        server.process.stop()
        running.process.wait_for(lambda: answers(running.admin("/readyz"), 503), "failing /readyz")
        during = len(senders.accepted)
        running.process.wait_for(lambda: len(senders.accepted) > during + 5, "requests taken during the outage")
        running.process.wait_for(lambda: metrics(running, "exporter_queue_oldest_age_seconds") > 2, "age of the oldest")
        assert metrics(running, "exporter_queue_requests") > 5
        assert metrics(running, "exporter_queue_size") > 1000
        assert metrics(running, "exporter_send_failed_spans_total") > 0
        assert b"mlflow" in http("GET", running.admin("/readyz"))[2]
        kept = senders.stop()
        server.restart()
        delivered(running)
        check_once(uri, kept)
        running.process.wait_for(lambda: answers(running.admin("/readyz")), "good /readyz")
        assert metrics(running, "exporter_retries_total") > 0
        spans = sum(len(ids(request)) for request in kept)
        assert metrics(running, "exporter_sent_spans_total") >= spans
        assert metrics(running, "receiver_accepted_spans_total") == spans
    finally:
        server.stop()


def test_a_full_queue_refuses_and_goes_on(workspace, gateway, empty_database):
    uri = empty_database("sqlite")
    server = MlflowServer(workspace / "full", uri)
    try:
        queue = {"queue_size": "1MiB"}
        running = gateway(server.url, sending_queue=queue, retry_on_failure={"initial_interval": "200ms", "max_interval": "1s"})
        server.process.stop()
        senders = Senders(running.http, count=2, make=lambda: with_tokens(traces=50), pause=0.05)
        running.process.wait_for(lambda: senders.refused > 3, "refusals of a full queue")
        assert metrics(running, "exporter_enqueue_failed_requests_total") > 3
        assert metrics(running, "exporter_queue_capacity") == 1 << 20
        running.process.wait_for(lambda: b"nearly full" in http("GET", running.admin("/readyz"))[2], "full in /readyz", 20)
        before = len(senders.accepted)
        server.restart()
        running.process.wait_for(lambda: len(senders.accepted) > before + 3, "requests taken again")
        kept = senders.stop()
        delivered(running)
        check_once(uri, kept)
    finally:
        server.stop()


# --- two processes, and the end -----------------------------------------------------------------------------------------


def test_two_processes_cannot_share_a_queue(gateway, empty_database, tmp_path):
    import yaml

    running = gateway(empty_database("sqlite"), sending_queue=queue_in(tmp_path / "queue"))
    file = tmp_path / "second.yaml"
    file.write_text(yaml.safe_dump(config(empty_database("sqlite"), Ports(), sending_queue=queue_in(tmp_path / "queue"))))
    done = subprocess.run([binary(), "--config", file], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert f"in use by process {running.process.pid}" in said and "directory" in said


def test_what_is_not_delivered_at_the_end_stays_and_is_told(gateway, empty_database, tmp_path):
    """Nobody listens where MLflow should be."""
    running = gateway(f"http://127.0.0.1:{free_port()}", ready=False, sending_queue=queue_in(tmp_path))
    running.process.wait_for(lambda: answers(running.admin("/livez")), "answer to /livez")
    kept = [with_tokens() for _ in range(5)]
    for request in kept:
        assert running.post(request.SerializeToString())[0] == 200
    assert running.terminate() == 0
    [line] = [line for line in running.process.output().splitlines() if "stays in" in line]
    assert "requests=5" in line and str(tmp_path) in line
    uri = empty_database("sqlite")
    again = gateway(uri, sending_queue=queue_in(tmp_path))
    delivered(again)
    check_once(uri, kept)


# --- dead letters -------------------------------------------------------------------------------------------------------


def dead_letter(gateway, *arguments, code: int = 0) -> str:
    done = subprocess.run(
        [binary(), "dead-letter", *arguments, "--config", gateway.file], cwd=gateway.file.parent, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_dead_letters_are_listed_delivered_again_and_deleted(gateway, empty_database):
    uri = empty_database("sqlite")
    running = gateway(uri)
    assert "no dead letters" in dead_letter(running, "list")
    refused = []
    for _ in range(2):
        request = trace_request()
        # Good OTLP, for which MLflow's tables have no room.
        request.resource_spans[0].scope_spans[0].spans[1].start_time_unix_nano = 2**64 - 1
        refused.append(request)
        assert running.post(request.SerializeToString())[0] == 200
    running.process.wait_for(lambda: metrics(running, "exporter_dead_letter_spans_total") == 2, "dead letters")
    listed = dead_letter(running, "list")
    assert "2 dead letters with 2 spans" in listed and "1 of 2 spans" in listed and "64 signed bits" in listed
    first, second = re.findall(r"^  ([0-9a-f]{8})  ", listed, re.MULTILINE)
    assert "back in the queue" in dead_letter(running, "retry", first)
    # The gateway refuses it for the same reason.
    running.process.wait_for(lambda: metrics(running, "exporter_dead_letter_spans_total") == 3, "refusal again")
    assert second in dead_letter(running, "drop", second) and second not in dead_letter(running, "list")
    assert "no dead letter 12345678" in dead_letter(running, "drop", "12345678", code=1)
    assert "deleted" in dead_letter(running, "drop", "--all")
    assert "no dead letters" in dead_letter(running, "list")
    assert "Put dead letters back" in dead_letter(running, "--help")


def test_dead_letters_of_a_stopped_gateway_are_delivered_by_the_next(gateway, workspace, empty_database, tmp_path):
    """A server that refuses for a time: afterwards nothing is missing."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.send_response(400)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ports, uri = Ports(), empty_database("sqlite")
    settings = config("sqlite:///unused.db", ports)
    settings["exporters"] = {"otlphttp": {"endpoint": f"http://127.0.0.1:{server.server_address[1]}", "sending_queue": queue_in(tmp_path)}}
    settings["service"]["pipelines"]["traces"]["exporters"] = ["otlphttp"]
    running = gateway("", settings=settings, ports=ports)
    request = trace_request()
    try:
        assert running.post(request.SerializeToString())[0] == 200
        running.process.wait_for(lambda: metrics(running, "exporter_dead_letter_spans_total") == 2, "dead letter")
    finally:
        server.shutdown()
        server.server_close()
    assert running.terminate() == 0
    assert "rejected" in dead_letter(running, "retry", "--all")
    backend = gateway(uri)
    ports = Ports()
    settings["receivers"] = config("", ports)["receivers"]
    settings["extensions"] = config("", ports)["extensions"]
    settings["exporters"]["otlphttp"]["endpoint"] = backend.http
    gateway("", settings=settings, ports=ports)
    assert stored(uri, request) == 2


def test_an_attribute_of_a_sender_survives_the_queue(gateway, empty_database):
    """What the sender says in headers is kept with its spans."""
    from mlflow import MlflowClient

    uri = empty_database("sqlite")
    running = gateway(uri)
    experiment = MlflowClient(tracking_uri=uri).create_experiment("by-header")
    request = trace_request()
    attribute(request.resource_spans[0].resource.attributes, "deployment.environment.name", "test")
    assert running.post(request.SerializeToString(), {"x-mlflow-experiment-id": experiment})[0] == 200
    assert stored(uri, request) == 2
    assert {row[0] for row in query(uri, "SELECT experiment_id FROM trace_info")} == {int(experiment)}


@pytest.mark.parametrize("store", ["sqlite", "server"])
def test_an_experiment_that_does_not_exist_costs_nobody_anything(store, gateway, empty_database, mlflow_server):
    """One sender has the id of another server: its traces go to the fallback, and nobody else waits for them."""
    uri = empty_database("sqlite") if store == "sqlite" else mlflow_server.backend_uri
    running = gateway(uri if store == "sqlite" else mlflow_server.url)
    astray, others = trace_request(), [trace_request() for _ in range(3)]
    assert running.post(astray.SerializeToString(), {"x-mlflow-experiment-id": "987654"})[0] == 200
    assert all(running.post(other.SerializeToString())[0] == 200 for other in others)
    for request in (astray, *others):
        assert stored(uri, request) == 2
    assert metrics(running, "exporter_experiments_fallback_total") == 1
    assert metrics(running, "exporter_send_failed_spans_total") == 0
    assert "no experiment has the id 987654" in running.process.output()
