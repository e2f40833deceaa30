"""What goes wrong around the gateway: each trouble gets its clear answer, and nothing that was accepted is lost."""

import gzip
import json
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import threading
import time

import pytest
from mlflow import MlflowClient

from support.gateway import UNQUEUED, Ports, binary, config, query, queue_in, sqlite_path, stored
from support.mlflow_server import migrate
from support.otlp import answer, attribute, trace_request
from support.process import answers, http

RETRY = {429, 503}


def accepted(gateway, uri: str):
    """The gateway takes a good request and stores it."""
    request = trace_request()
    status, _, said = gateway.post(request.SerializeToString())
    assert (status, answer(said)[0]) == (200, 0), said
    assert stored(uri, request) == 2


def eventually_accepted(gateway, uri: str, seconds: float = 60):
    """As a sender with retries would see it."""
    deadline = time.monotonic() + seconds
    request = trace_request()
    while True:
        status, _, said = gateway.post(request.SerializeToString())
        if status == 200:
            break
        assert status in RETRY, said
        assert time.monotonic() < deadline, f"still {status} after {seconds} s: {said}"
        time.sleep(0.2)
    assert stored(uri, request) == 2


def refused_for_now(status: int, headers: dict, said: bytes):
    assert status in RETRY, (status, said)
    assert int({name.lower(): value for name, value in headers.items()}["retry-after"]) >= 1
    assert said, "the answer says nothing"


def start_and_fail(arguments: list, code: int, seconds: float = 60, env: dict | None = None) -> str:
    """Runs the gateway until it gives up by itself; its output must name the trouble."""
    done = subprocess.run(
        [binary(), *map(str, arguments)], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=seconds, env={**os.environ, **(env or {})},
    )
    assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
    assert "panicked" not in done.stderr
    return done.stdout + done.stderr


def write_config(folder, settings: dict):
    import yaml

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gateway.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    return folder / "gateway.yaml"


# --- the database -----------------------------------------------------------------------------------------------------


def test_sqlite_locked_by_somebody_else(empty_database, gateway):
    uri = empty_database("sqlite")
    running = gateway(uri)
    accepted(running, uri)
    other = sqlite3.connect(sqlite_path(uri), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    request = trace_request()
    outcome = []
    sender = threading.Thread(target=lambda: outcome.append(running.post(request.SerializeToString(), timeout=180)))
    sender.start()
    time.sleep(2)
    other.execute("ROLLBACK")
    other.close()
    sender.join()
    status, headers, said = outcome[0]
    if status == 200:
        assert stored(uri, request) == 2
    else:
        refused_for_now(status, headers, said)
    eventually_accepted(running, uri)


def test_postgresql_restarted(workspace, gateway):
    from support.postgres import Postgres

    server = Postgres(workspace / "postgres-restarted.log")
    try:
        uri = server.database()
        running = gateway(uri)
        accepted(running, uri)
        server.stop_server()
        request = trace_request()
        assert running.post(request.SerializeToString(), timeout=180)[0] == 200, "the queue takes it"
        running.process.wait_for(lambda: answers(running.admin("/readyz"), 503), "failing /readyz")
        assert b"mlflow" in http("GET", running.admin("/readyz"))[2]
        assert answers(running.admin("/livez"))
        server.start()
        eventually_accepted(running, uri)
        assert stored(uri, request) == 2
        running.process.wait_for(lambda: answers(running.admin("/readyz")), "good /readyz")
    finally:
        server.stop()


def test_postgresql_restarted_without_a_queue(workspace, gateway):
    """The sender keeps its spans: it is told to try again."""
    from support.postgres import Postgres

    server = Postgres(workspace / "postgres-restarted-unqueued.log")
    try:
        uri = server.database()
        running = gateway(uri, sending_queue=UNQUEUED)
        accepted(running, uri)
        server.stop_server()
        status, headers, said = running.post(trace_request().SerializeToString(), timeout=180)
        refused_for_now(status, headers, said)
        status, _, why = http("GET", running.admin("/readyz"))
        assert status == 503 and b"mlflow" in why
        server.start()
        eventually_accepted(running, uri)
        assert answers(running.admin("/readyz"))
    finally:
        server.stop()


def test_sqlite_file_deleted(empty_database, gateway):
    """Whatever the answer is, spans that were accepted after it are in the database that a reader opens."""
    uri = empty_database("sqlite")
    running = gateway(uri, sending_queue=UNQUEUED)
    accepted(running, uri)
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(sqlite_path(uri) + suffix):
            os.unlink(sqlite_path(uri) + suffix)
    request = trace_request()
    status, _, said = running.post(request.SerializeToString(), timeout=120)
    if status == 200:
        assert os.path.exists(sqlite_path(uri)), "accepted into a file that nobody can open"
        assert stored(uri, request) == 2
    else:
        assert status in RETRY and said


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_unknown_alembic_revision(kind, empty_database, workspace, postgres):
    uri = empty_database(kind)
    migrate(uri)
    if kind == "sqlite":
        connection = sqlite3.connect(sqlite_path(uri))
    else:
        connection = postgres.connect(uri.rsplit("/", 1)[1])
    connection.cursor().execute("UPDATE alembic_version SET version_num = 'feedfacecafe'")
    connection.commit()
    connection.close()
    file = write_config(workspace / f"revision-{kind}", config(uri, Ports()))
    said = start_and_fail(["--config", file], 1)
    assert "feedfacecafe" in said and "dc11669786a5" in said and "http" in said.lower()
    assert query(uri, "SELECT version_num FROM alembic_version") == [("feedfacecafe",)]


def test_a_database_that_is_not_mlflows(empty_database, workspace):
    uri = empty_database("sqlite")
    connection = sqlite3.connect(sqlite_path(uri))
    connection.execute("CREATE TABLE invoices (id INTEGER)")
    connection.commit()
    connection.close()
    file = write_config(workspace / "not-mlflow", config(uri, Ports()))
    said = start_and_fail(["--config", file], 1)
    assert "mlflow" in said.lower()
    assert query(uri, "SELECT name FROM sqlite_master WHERE type = 'table'") == [("invoices",)]


def test_wrong_database_password(postgres, workspace):
    uri = postgres.database()
    wrong = postgres.uri(uri.rsplit("/", 1)[1], password="not-the-password")
    file = write_config(workspace / "password", config(wrong, Ports()))
    said = start_and_fail(["--config", file], 1)
    assert "password" in said.lower() or "credential" in said.lower()
    assert "not-the-password" not in said, "a password was printed"
    told = start_and_fail(["doctor", "--config", file], 1)
    assert "FAIL" in told and "not-the-password" not in told


@pytest.mark.parametrize("user", ["nobody", ""])
def test_wrong_server_credentials(user, workspace, gateway):
    """The server stands behind a login; without a good one the sender keeps its spans."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Locked(BaseHTTPRequestHandler):
        def refuse(self):
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.send_response(401)
            self.send_header("www-authenticate", "Basic realm=mlflow")
            self.send_header("content-length", "28")
            self.end_headers()
            self.wfile.write(b"You are not authenticated.\r\n")

        do_GET = do_POST = do_PUT = refuse

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Locked)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        uri = f"http://127.0.0.1:{server.server_address[1]}"
        env = {"MLFLOW_TRACKING_USERNAME": user, "MLFLOW_TRACKING_PASSWORD": "wrong"} if user else {}
        file = write_config(workspace / f"login-{user or 'none'}", config(uri, Ports()))
        said = start_and_fail(["doctor", "--config", file], 1, env=env)
        assert "401" in said and "MLFLOW_TRACKING_" in said
    finally:
        server.shutdown()
        server.server_close()


def limit_file_size():
    resource.setrlimit(resource.RLIMIT_FSIZE, (6_000_000, 6_000_000))
    # As on a full disk the write fails, instead of the process being killed.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def test_disk_full(empty_database, gateway):
    """No file may grow over 6 MB, of which an empty database takes half. What was accepted is there, what does not fit is refused, and reads still work."""
    uri = empty_database("sqlite")
    running = gateway(uri, popen={"preexec_fn": limit_file_size}, sending_queue=UNQUEUED)
    kept, refusals = [], 0
    for _ in range(60):
        request = trace_request(traces=20, spans=4, text="x" * 1500)
        status, headers, said = running.post(request.SerializeToString(), timeout=120)
        if status == 200:
            kept.append(request)
        else:
            refused_for_now(status, headers, said)
            refusals += 1
            if refusals >= 3:
                break
    assert kept and refusals >= 3
    assert running.process.running() and answers(running.admin("/livez"))
    assert http("GET", running.admin("/readyz"))[0] == 503
    running.terminate()
    assert stored(uri, *kept) == 80 * len(kept)
    connection = sqlite3.connect(sqlite_path(uri))
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


# --- start and stop ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("listener", ["grpc", "http", "admin"])
def test_port_in_use(listener, empty_database, workspace):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = Ports()
        setattr(ports, listener, taken.getsockname()[1])
        file = write_config(workspace / f"port-{listener}", config(empty_database("sqlite"), ports))
        said = start_and_fail(["--config", file], 1)
        assert str(taken.getsockname()[1]) in said and "in use" in said.lower()


def test_unreadable_configuration(workspace):
    assert "no-such-file.yaml" in start_and_fail(["--config", workspace / "no-such-file.yaml"], 2)
    folder = workspace / "broken"
    folder.mkdir()
    broken = folder / "broken.yaml"
    broken.write_text("receivers:\n  otlp: [\n")
    assert "broken.yaml" in start_and_fail(["--config", broken], 2)


def test_all_mistakes_at_once_with_lines_and_suggestions(empty_database, workspace):
    settings = config(empty_database("sqlite"), Ports(), experimnt={"name": "x"}, compat="strikt")
    settings["service"]["pipelines"]["traces"]["exporters"] = ["mlflow", "mlfow/two"]
    file = write_config(workspace / "misspelt", settings)
    said = start_and_fail(["validate", "--config", file], 2)
    lines = file.read_text().splitlines()
    for word, suggestion in (("experimnt", "experiment"), ("strikt", "strict"), ("mlfow/two", "mlflow")):
        number = next(index for index, line in enumerate(lines, 1) if word in line)
        assert f":{number}" in said or f"line {number}" in said, f"no line for {word}:\n{said}"
        assert suggestion in said.replace(word, ""), f"no suggestion for {word}:\n{said}"


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_sigterm_under_load_loses_nothing_accepted(kind, empty_database, gateway, tmp_path):
    """What is accepted is stored at the end, or stays in the queue and is stored by the next gateway."""
    uri = empty_database(kind)
    running = gateway(uri, sending_queue=queue_in(tmp_path))
    kept, lock, stop = [], threading.Lock(), threading.Event()

    def send():
        while not stop.is_set():
            request = trace_request(traces=20, spans=4)
            try:
                status, _, said = running.post(request.SerializeToString(), timeout=60)
            except OSError:
                continue
            if status == 200:
                assert answer(said)[0] == 0
                with lock:
                    kept.append(request)

    senders = [threading.Thread(target=send) for _ in range(8)]
    for sender in senders:
        sender.start()
    time.sleep(2)
    code = running.terminate()
    stop.set()
    for sender in senders:
        sender.join()
    assert code == 0
    assert len(kept) > 10
    left = 80 * len(kept) - stored(uri, *kept, seconds=0)
    assert not left or "stays in" in running.process.output(), f"{left} spans are left, and the log does not say so"
    gateway(uri, sending_queue=queue_in(tmp_path))
    assert stored(uri, *kept) == 80 * len(kept)


def test_killed_gateway_starts_again(empty_database, gateway, tmp_path):
    """SIGKILL in the middle: what was accepted is there, and the next start works on the same files."""
    uri = empty_database("sqlite")
    running = gateway(uri, sending_queue=queue_in(tmp_path))
    kept = [trace_request(traces=20, spans=4) for _ in range(5)]
    for request in kept:
        assert running.post(request.SerializeToString())[0] == 200
    running.process.child.kill()
    running.process.wait()
    again = gateway(uri, sending_queue=queue_in(tmp_path))
    accepted(again, uri)
    assert stored(uri, *kept) == 400


# --- bad input --------------------------------------------------------------------------------------------------------


def bad_bodies():
    good = trace_request().SerializeToString()
    json_type = {"content-type": "application/json"}
    wrong_ids = trace_request()
    wrong_ids.resource_spans[0].scope_spans[0].spans[0].trace_id = b"\x01" * 40
    yield "truncated", good[: len(good) // 2], {}, {400}
    yield "random", os.urandom(4096), {}, {400}
    yield "wrong content type", good, {"content-type": "text/plain"}, {415}
    yield "unknown encoding", good, {"content-encoding": "br"}, {415, 400}
    yield "not gzip", good, {"content-encoding": "gzip"}, {400}
    yield "truncated gzip", gzip.compress(good)[:-9], {"content-encoding": "gzip"}, {400}
    yield "bomb", gzip.compress(bytes(1 << 30), 1), {"content-encoding": "gzip"}, {413, 400}
    yield "not JSON", b"{", json_type, {400}
    yield "JSON of another shape", b'{"resourceSpans": 7}', json_type, {400}
    yield "nesting 10,000 deep", b'{"resourceSpans":' + b"[" * 10_000 + b"]" * 10_000 + b"}", json_type, {400}
    yield "invalid UTF-8", good.replace(b"chat", b"\xff\xfe\xfd\xfc"), {}, {400, 200}
    yield "trace id of 40 bytes", wrong_ids.SerializeToString(), {}, {400, 200}


def test_bad_bodies(empty_database, gateway):
    uri = empty_database("sqlite")
    running = gateway(uri)
    accepted(running, uri)
    before = rss_mib(running.process.pid)
    for name, body, headers, expected in bad_bodies():
        status, _, said = running.post(body, headers, timeout=120)
        assert status in expected, (name, status, said[:300])
        if status == 200:
            assert answer(said)[0] >= 1 and answer(said)[1], f"{name}: taken without a word"
        else:
            assert said, f"{name}: no reason"
        accepted(running, uri)
    # A body may have 64 MiB, and half of that again is in use while it grows.
    assert rss_mib(running.process.pid) - before < 64 + 32 + 16, "a bad body cost more than the limit on bodies"


def test_empty_request_and_wrong_routes(empty_database, gateway):
    running = gateway(empty_database("sqlite"))
    assert running.post(b"")[0] == 200
    assert http("POST", f"{running.http}/v1/nothing", b"", {"content-type": "application/x-protobuf"})[0] == 404
    assert http("GET", f"{running.http}/v1/traces")[0] == 405


@pytest.mark.parametrize("what", ["10 MB attribute", "100,000 attributes"])
def test_huge_but_legal(what, empty_database, gateway):
    uri = empty_database("sqlite")
    running = gateway(uri)
    request = trace_request()
    span = request.resource_spans[0].scope_spans[0].spans[0]
    if what == "10 MB attribute":
        attribute(span.attributes, "big", "x" * 10_000_000)
    else:
        for number in range(100_000):
            attribute(span.attributes, f"key.{number}", "x")
    status, _, said = running.post(request.SerializeToString(), timeout=120)
    if status == 200:
        assert stored(uri, request) + answer(said)[0] >= 2
    else:
        assert status in {400, 413} and said
    accepted(running, uri)


def test_slow_and_vanishing_clients(empty_database, gateway):
    uri = empty_database("sqlite")
    running = gateway(uri)
    head = b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: 1000\r\n\r\n"
    idle = []
    for number in range(200):
        client = socket.create_connection(("127.0.0.1", running.ports.http))
        client.sendall(head + b"x" * (number % 10))
        if number % 2:
            client.close()
        else:
            idle.append(client)
    accepted(running, uri)
    for client in idle:
        client.close()
    accepted(running, uri)


def test_bad_json_is_answered_in_json(empty_database, gateway):
    running = gateway(empty_database("sqlite"))
    status, headers, said = running.post(b"{", {"content-type": "application/json"})
    assert status == 400 and "json" in {name.lower(): value for name, value in headers.items()}["content-type"]
    assert json.loads(said)["message"]


def rss_mib(pid: int) -> float:
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))


def test_idle_memory(empty_database, gateway):
    """Under 25 MiB idle, in a release build; a debug build is larger and only has to stay in bounds."""
    uri = empty_database("sqlite")
    running = gateway(uri)
    accepted(running, uri)
    assert rss_mib(running.process.pid) < (25 if "release" in str(binary()) else 60)


def test_two_gateways_on_one_database(empty_database, gateway):
    """Both create the same experiments at the same time; there is one of each, and every span is stored once."""
    uri = empty_database("postgresql")
    routing = {"from": ["resource.service.name"], "create": True}
    pair = [gateway(uri, experiment=routing), gateway(uri, experiment=routing)]
    requests = [trace_request(traces=5, service=f"service-{number % 4}") for number in range(24)]
    codes = []

    def send(at, mine):
        for request in mine:
            codes.append(at.post(request.SerializeToString(), timeout=120)[0])

    senders = [threading.Thread(target=send, args=(pair[number % 2], requests[number::6])) for number in range(6)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert codes == [200] * 24
    assert stored(uri, *requests) == 240
    names = [experiment.name for experiment in MlflowClient(tracking_uri=uri).search_experiments()]
    assert sorted(names) == ["Default"] + [f"service-{number}" for number in range(4)]


def test_beside_a_live_mlflow_server(postgres, gateway, workspace):
    """MLflow's own endpoint and the gateway write to the same database at once."""
    from support.mlflow_server import MlflowServer

    uri = postgres.database()
    server = MlflowServer(workspace / "beside", uri)
    try:
        running = gateway(uri)
        theirs, ours = ([trace_request(traces=5) for _ in range(10)] for _ in range(2))
        headers = {"content-type": "application/x-protobuf", "x-mlflow-experiment-id": "0"}
        codes = []

        def to_server():
            for request in theirs:
                codes.append(http("POST", f"{server.url}/v1/traces", request.SerializeToString(), headers)[0])

        thread = threading.Thread(target=to_server)
        thread.start()
        for request in ours:
            codes.append(running.post(request.SerializeToString())[0])
        thread.join()
        assert codes == [200] * 20
        assert stored(uri, *theirs, *ours) == 200
    finally:
        server.stop()
