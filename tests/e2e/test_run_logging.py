"""Runs that log in the background, artifacts and tables, against real MLflow: also one that is down, silent, or full."""

import json
import os
import shutil
import socket
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from conftest import new_database
from support.gateway import ROOT, binary
from support.mlflow_server import MlflowServer
from support.process import free_port
from support.s3 import S3
from test_tracking import interpreter

JOB = Path(os.environ.get("EXAMPLES_DIR", ROOT / "target" / "debug" / "examples")) / "run_logging"
NOTHING = {"delivered": 0, "spooled": 0, "dropped": 0, "refused": 0}


class Job:
    """The program `run_logging`: one command, one answer."""

    def __init__(self, uri: str, folder: Path, experiment: str, program: Path = JOB, **more):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "MLFLOW_"))}
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "job.log"
        self.spool = folder / "spool"
        env = {**kept, "MLFLOW_TRACKING_URI": uri, "MLFLOW_EXPERIMENT_NAME": experiment, "OTEL_MLFLOW_SPOOL_DIR": str(self.spool), **more}
        self.child = subprocess.Popen([program], env=env, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log.open("ab"), text=True)

    def tell(self, *command) -> dict:
        self.child.stdin.write(json.dumps(command) + "\n")
        self.child.stdin.flush()
        line = self.child.stdout.readline()
        assert line, self.log.read_text()[-4000:]
        return json.loads(line)

    def ask(self, *command):
        answer = self.tell(*command)
        assert "ok" in answer, answer
        return answer["ok"]

    def leave(self) -> str:
        """Ends the program; gives what it logged."""
        self.child.stdin.close()
        assert self.child.wait(60) == 0, self.log.read_text()[-4000:]
        return self.log.read_text()

    def files(self) -> list[Path]:
        return sorted(self.spool.glob("*.jsonl"))


@pytest.fixture(scope="module")
def server(workspace):
    one = MlflowServer(workspace / "runs", f"sqlite:///{workspace / 'runs.db'}")
    yield one
    one.stop()


@pytest.fixture
def job(server, tmp_path, request):
    jobs = []

    def start(uri: str | None = None, **more) -> Job:
        one = Job(uri or server.url, tmp_path / "job", request.node.name, **more)
        jobs.append(one)
        return one

    yield start
    for one in jobs:
        one.child.kill()
        one.child.wait()


def import_spool(folder: Path, **more) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "MLFLOW_"))}
    done = subprocess.run([binary(), "import", "--spool", folder], env={**kept, **more}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def steps(client, run_id: str, key: str) -> list:
    return sorted((metric.step, metric.value) for metric in client.get_metric_history(run_id, key))


def runs_of(client, experiment: str) -> list:
    return client.search_runs([client.get_experiment_by_name(experiment).experiment_id])


@pytest.mark.parametrize("runtime", ["multi", "current"])
def test_what_a_job_logs_is_in_mlflow(server, job, runtime):
    one = job(JOB_RUNTIME=runtime)
    run_id = one.ask("start", "first")
    one.ask("params")
    one.ask("metrics", "loss", 2500)
    one.ask("metric", "odd", None, 3)
    one.ask("tag", "ünï", "日本")
    assert one.ask("flush") == {**NOTHING, "delivered": 2505}
    nested = one.ask("nested", "inner")
    assert nested["outcome"] == {**NOTHING, "delivered": 1}
    assert one.ask("finish") == {**NOTHING, "delivered": 2505}
    one.leave()
    client = server.client()
    run = client.get_run(run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "first") and run.info.end_time >= run.info.start_time
    assert run.data.params == {"alpha": "0.5", "wörd/β": "ü", "number": "7"}
    tags = run.data.tags
    assert (tags["ünï"], tags["kind"], tags["mlflow.runName"], tags["mlflow.source.type"]) == ("日本", "test", "first", "LOCAL")
    assert tags["mlflow.source.name"].endswith("run_logging") and tags["mlflow.user"] == run.info.user_id
    assert steps(client, run_id, "loss") == [(step, step / 4) for step in range(2500)]
    [(step, value)] = steps(client, run_id, "odd")
    assert step == 3 and value != value
    inner = client.get_run(nested["run_id"])
    assert (inner.data.tags["mlflow.parentRunId"], inner.data.metrics) == (run_id, {"inner": 1.5})


def test_the_commit_is_that_of_the_working_tree(server, job, tmp_path):
    folder = tmp_path / "job"
    folder.mkdir()
    for command in (["init", "-q", "-b", "side"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
    # Where the program lies in a working tree, that is the one.
    program = shutil.copy2(JOB, folder / "job")
    run_id = (one := job(program=program)).ask("start", "x")
    one.ask("finish")
    tags = server.client().get_run(run_id).data.tags
    assert (tags["mlflow.source.git.commit"], tags["mlflow.source.git.branch"]) == (commit, "side")


@pytest.mark.parametrize("end, status", [("drop", "FINISHED"), ("fail", "FAILED"), ("panic", "FAILED"), ("leave", "FINISHED")])
def test_a_run_ends_with_its_guard(server, job, end, status):
    one = job()
    run_id = one.ask("start", "x")
    one.ask("metrics", "m", 1500)
    if end != "leave":
        one.ask(end)
    one.leave()
    client = server.client()
    assert client.get_run(run_id).info.status == status
    assert len(steps(client, run_id, "m")) == 1500


def test_a_run_goes_on(server, job):
    one = job()
    run_id = one.ask("start", "x")
    one.ask("metrics", "m", 2)
    one.ask("fail")
    assert one.ask("resume", run_id) == run_id
    client = server.client()
    assert client.get_run(run_id).info.status == "RUNNING"
    one.ask("metric", "m", 9, 2)
    one.ask("finish")
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED" and run.data.tags["again"] == "yes" and len(steps(client, run_id, "m")) == 3
    by_environment = job(MLFLOW_RUN_ID=run_id)
    assert by_environment.ask("start-anonymous") == run_id
    by_environment.ask("finish")
    assert by_environment.ask("start-anonymous") != run_id


def test_what_mlflow_refuses_costs_nothing_else(server, job):
    one = job()
    run_id = one.ask("start", "x")
    one.ask("param", "p", "1")
    one.ask("flush")
    one.ask("param", "p", "2")
    one.ask("param", "bad*name", "3")
    one.ask("param", "long", "x" * 7000)
    one.ask("metrics", "m", 500)
    one.ask("metric", "../m", 1, 0)
    one.ask("tag", "t", "y" * 9000)
    assert one.ask("finish") == {**NOTHING, "delivered": 503, "refused": 3}
    log = one.leave()
    run = server.client().get_run(run_id)
    assert run.data.params == {"p": "1", "long": "x" * 6000} and run.data.tags["t"] == "y" * 8000
    assert len(steps(server.client(), run_id, "m")) == 500
    assert log.count("entries are left out") == 1 and log.count("MLflow refuses entries") == 1


def test_starts_that_cannot_work_have_typed_errors(server, job):
    client = server.client()
    one = job()
    assert one.tell("resume", "0" * 32)["error"].startswith("NotFound")
    run_id = one.ask("start", "x")
    one.ask("finish")
    client.delete_run(run_id)
    assert one.tell("resume", run_id)["error"].startswith("Deleted")
    client.delete_experiment(client.get_experiment_by_name("test_starts_that_cannot_work_have_typed_errors").experiment_id)
    assert one.tell("start", "y")["error"].startswith("Deleted")
    one.leave()


def test_a_server_that_is_down_from_the_start(workspace, job, tmp_path):
    name = "test_a_server_that_is_down_from_the_start"
    folder = tmp_path / "server"
    server = MlflowServer(folder, f"sqlite:///{folder / 'mlflow.db'}")
    server.stop()
    one = job(server.url)
    assert one.tell("start", "offline")["ok"] is None
    one.ask("params")
    one.ask("metrics", "loss", 3000)
    nested = one.ask("nested", "inner")
    assert nested == {"run_id": None, "outcome": {**NOTHING, "spooled": 1}}
    ended = one.tell("finish")
    assert ended["ok"] == {**NOTHING, "spooled": 3003} and ended["seconds"] < 20
    assert one.leave().count("the run starts offline") == 2
    torn = one.files()[0]
    copies = {path: path.read_bytes() for path in one.files()}
    with torn.open("ab") as file:
        file.write(b'{"log":{"metrics":[["cut')
    server = again(server, folder)
    try:
        printed = import_spool(one.spool)
        assert "3003 entries delivered" in printed and "1 lines were cut off" in printed and not one.files()
        for path, content in copies.items():
            path.write_bytes(content)
        import_spool(one.spool)
        client = server.client()
        inner, outer = sorted(runs_of(client, name), key=lambda run: run.info.run_name != "inner")
        assert (outer.info.run_name, outer.info.status, len(runs_of(client, name))) == ("offline", "FINISHED", 2)
        assert steps(client, outer.info.run_id, "loss") == [(step, step / 4) for step in range(3000)]
        assert inner.data.tags["mlflow.parentRunId"] == outer.info.run_id and inner.data.metrics == {"inner": 1.5}
        assert outer.data.params["alpha"] == "0.5" and outer.info.start_time < outer.info.end_time
    finally:
        server.stop()


def again(server: MlflowServer, folder: Path) -> MlflowServer:
    """The same server, on the same port."""
    import support.mlflow_server as module

    kept, module.free_port = module.free_port, lambda: server.port
    try:
        return MlflowServer(folder, f"sqlite:///{folder / 'mlflow.db'}")
    finally:
        module.free_port = kept


def test_a_server_that_goes_down_and_the_next_start_delivers(job, tmp_path):
    folder = tmp_path / "server"
    server = MlflowServer(folder, f"sqlite:///{folder / 'mlflow.db'}")
    one = job(server.url)
    run_id = one.ask("start", "x")
    one.ask("metrics", "m", 10)
    one.ask("flush")
    server.stop()
    one.ask("metrics", "late", 5000)
    ended = one.tell("finish")
    assert ended["ok"] == {**NOTHING, "delivered": 10, "spooled": 5000} and ended["seconds"] < 20
    assert one.files()
    server = again(server, folder)
    try:
        next_run = one.ask("start", "next")
        client = server.client()
        for _ in range(200):
            if not one.files():
                break
            one.ask("metric", "tick", 1, 0)
            one.ask("flush")
        one.ask("finish")
        assert not one.files()
        run = client.get_run(run_id)
        assert run.info.status == "FINISHED" and client.get_run(next_run).info.status == "FINISHED"
        assert steps(client, run_id, "late") == [(step, step / 4) for step in range(5000)]
    finally:
        server.stop()


@contextmanager
def fake(answer: bytes | None):
    """A server that answers everything alike, or takes connections and says nothing."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    held = []

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            held.append(connection)
            if answer is not None:
                threading.Thread(target=reply, args=(connection,), daemon=True).start()

    def reply(connection):
        try:
            connection.recv(1 << 20)
            connection.sendall(answer)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()
        for connection in held:
            connection.close()


def http_answer(status: str, body: str = "{}", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


@pytest.mark.parametrize("answer", [None, http_answer("500 Internal Server Error"), http_answer("429 Too Many Requests", headers="Retry-After: 3600\r\n"), http_answer("503 Service Unavailable")], ids=["silent", "500", "429", "503"])
def test_a_server_that_does_not_do_its_work(server, job, answer):
    with fake(answer) as uri:
        one = job(uri)
        started = one.tell("start", "x")
        assert started["ok"] is None and started["seconds"] < 20
        looped = one.ask("metrics", "m", 20000)
        assert looped < 5, "logging waits for the server"
        ended = one.tell("finish")
        assert ended["ok"] == {**NOTHING, "spooled": 20000} and ended["seconds"] < 30
        one.leave()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "MLFLOW_"))}
    command = [binary(), "import", "--spool", one.spool, "--tracking-uri", server.url]
    done = subprocess.run(command, env=kept, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    [run] = runs_of(server.client(), one_name(answer))
    assert run.info.status == "FINISHED" and len(steps(server.client(), run.info.run_id, "m")) == 20000


def one_name(answer) -> str:
    kind = "silent" if answer is None else answer.split()[1].decode()
    return f"test_a_server_that_does_not_do_its_work[{kind}]"


@pytest.fixture(scope="module", params=["3.17.2", "3.17.2-postgresql", "2.22.2", "2.22.2-postgresql", "s3"])
def release(request, workspace):
    """A server that passes artifacts on, of two releases on two databases; and one that leaves them to S3."""
    folder = workspace / f"artifacts-{request.param}"
    folder.mkdir()
    bucket = S3(folder / "s3.log", "e2e") if request.param == "s3" else None
    version, _, kind = ("3.17.2" if bucket else request.param).partition("-")
    python = interpreter(version)
    place = ["--no-serve-artifacts", "--default-artifact-root", f"{bucket.uri}/of/mlflow"] if bucket else None
    database = new_database(kind or "sqlite", folder, request)
    one = MlflowServer(folder, database, program=python.with_name("mlflow"), artifacts=place)
    one.python = python
    one.environment = bucket.environment if bucket else {}
    yield one
    one.stop()
    if bucket:
        bucket.stop()


def python(release, code: str, *arguments) -> str:
    """Runs a program of the release's own client."""
    env = {**os.environ, "MLFLOW_TRACKING_URI": release.url, **release.environment}
    done = subprocess.run([release.python, "-c", code, *map(str, arguments)], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout.strip()


def test_artifacts_go_both_ways(release, job, tmp_path):
    one = job(release.url, **release.environment)
    run_id = one.ask("start", "x")
    source = tmp_path / "source"
    (source / "deep" / "er").mkdir(parents=True)
    big = os.urandom(30 << 20)
    (source / "big.bin").write_bytes(big)
    (source / "deep" / "er" / "ü b+c.txt").write_text("ünï")
    (source / "empty").write_bytes(b"")
    value = {"b": [1, 2.5, None, True], "a": {"x": "yes", "y": "é: 1"}, "n": "2024-01-01", "e": 1e20}
    one.ask("text", "page.html", "<h1>ü</h1>")
    one.ask("dict", "d/value.json", value)
    one.ask("dict", "d/value.yaml", value)
    one.ask("folder", str(source), "in")
    one.ask("file", str(source / "empty"), "")
    read = """
import json, sys, yaml, mlflow
run_id, to = sys.argv[1:]
path = mlflow.artifacts.download_artifacts(run_id=run_id, dst_path=to)
client = mlflow.MlflowClient()
client.log_text(run_id, "from python", "py/ö 1.txt")
print(json.dumps([mlflow.artifacts.load_dict(f"runs:/{run_id}/d/value.json"), yaml.safe_load(open(path + "/d/value.yaml"))]))
"""
    to = tmp_path / "python"
    to.mkdir()
    as_json, as_yaml = json.loads(python(release, read, run_id, to).splitlines()[-1])
    assert as_json == value and as_yaml == value
    assert (to / "d" / "value.json").read_text() == json.dumps(value, indent=2)
    assert (to / "in" / "big.bin").read_bytes() == big and (to / "in" / "deep" / "er" / "ü b+c.txt").read_text() == "ünï"
    assert (to / "empty").read_bytes() == b"" and (to / "page.html").read_text() == "<h1>ü</h1>"
    # MLflow's server does not tell the size of an empty file.
    nothing = 0 if release.environment else None
    assert one.ask("list", "in") == [["in/big.bin", False, len(big)], ["in/deep", True, None], ["in/empty", False, nothing]]
    assert one.ask("list", "in/big.bin") == [] and one.ask("list", "none") == []
    assert one.ask("read", "py/ö 1.txt") == "from python" and one.ask("read", "page.html") == "<h1>ü</h1>"
    down = tmp_path / "down"
    assert one.ask("download", "", str(down)) == str(down)
    assert (down / "in" / "big.bin").read_bytes() == big and (down / "py" / "ö 1.txt").read_text() == "from python"
    assert one.tell("read", "none.txt")["error"].startswith("NotFound")
    for path in ("../x", "/etc/passwd", "a/../../x", "%2e%2e/x", "a\\b"):
        assert one.tell("text", path, "x")["error"].startswith("Invalid"), path
    one.ask("finish")


def test_tables_go_both_ways(release, job, request):
    one = job(release.url, **release.environment)
    run_id = one.ask("start", "x")
    rows = [{"q": "What is é/😀?", "score": 1, "tags": ["a", {"b": None}], "ok": True}, {"q": 'quote "x"\n', "score": 2.5, "ok": None}]
    one.ask("table", "tables/t.json", rows)
    one.ask("table", "tables/t.json", [{"q": "third", "new": 7}])
    one.ask("table", "other.json", [{"a": 1}])
    both = """
import json, sys, mlflow, pandas as pd
name, run_id, to = sys.argv[1:]
experiment = mlflow.set_experiment(name)
client = mlflow.MlflowClient()
table = client.load_table(experiment.experiment_id, "tables/t.json", extra_columns=["run_id"])
with mlflow.start_run() as run:
    data = pd.DataFrame([{"q": "python ü/", "score": 0.5, "new": 1}])
    mlflow.log_table(data, "tables/t.json")
    mlflow.log_table({"q": ["What is é/😀?", 'quote "x"\\n'], "score": [1, 2.5], "tags": [["a", {"b": None}], None], "ok": [True, None]}, "same.json")
client.log_table(run_id, {"a": [2]}, "other.json")
print(json.dumps({"tag": client.get_run(run_id).data.tags["mlflow.loggedArtifacts"], "table": json.loads(table.to_json(orient="split")),
    "run": run.info.run_id, "experiment": experiment.experiment_id, "same": mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/same.json"),
    "other": mlflow.artifacts.load_text(f"runs:/{run_id}/other.json")}))
"""
    told = json.loads(python(release, both, request.node.name, run_id, tmp(one)).splitlines()[-1])
    assert told["tag"] == '[{"path": "tables/t.json", "type": "table"}, {"path": "other.json", "type": "table"}]'
    assert told["table"]["columns"] == ["q", "score", "tags", "ok", "new", "run_id"]
    assert told["table"]["data"] == [
        ["What is é/😀?", 1.0, ["a", {"b": None}], told["table"]["data"][0][3], None, run_id],
        ['quote "x"\n', 2.5, None, None, None, run_id],
        ["third", None, None, None, 7.0, run_id],
    ]
    assert told["table"]["data"][0][3] in (True, 1.0)  # pandas reads true beside null as 1.0
    assert told["other"] == '{"columns":["a"],"data":[[1],[2]]}'
    one.ask("table", "same.json", rows)
    assert one.ask("read", "same.json") == told["same"]
    loaded = one.ask("load-table", told["experiment"], "tables/t.json", "run_id,status")
    assert loaded["columns"] == ["q", "score", "new", "run_id", "status", "tags", "ok"]
    assert loaded["rows"][0] == ["python ü/", 0.5, 1, told["run"], "FINISHED", None, None]
    assert [row[0] for row in loaded["rows"][1:]] == ["What is é/😀?", 'quote "x"\n', "third"] and loaded["rows"][1][3] == run_id
    assert one.tell("load-table", told["experiment"], "none.json", "")["error"].startswith("NotFound")


def tmp(one: Job) -> Path:
    return one.log.parent
