"""The tracking client against real MLflow servers: what Rust logs, Python reads, and the other way round.

Each server is spoken to by the Python client of its own release, in that release's environment.
"""

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from conftest import new_database
from support.gateway import ROOT
from support.mlflow_server import MlflowServer
from support.process import free_port

EXAMPLES = Path(os.environ.get("EXAMPLES_DIR", ROOT / "target" / "debug" / "examples"))
PROGRAMS = Path(__file__).parent / "programs"
SERVERS = [(version, kind) for version in ("3.17.2", "2.22.2") for kind in ("sqlite", "postgresql")]


class Release:
    """A server of one release, and the clients that speak to it."""

    def __init__(self, version: str, folder: Path, database: str):
        self.version = version
        self.python = interpreter(version)
        self.server = MlflowServer(folder, database, program=self.python.with_name("mlflow"))

    def environment(self, **more) -> dict:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "MLFLOW_", "DATABRICKS_"))}
        return {**kept, "MLFLOW_TRACKING_URI": self.server.url, "MLFLOW_ENABLE_ASYNC_LOGGING": "false", **more}

    def by_rust(self, *command: str, **more):
        return answer([EXAMPLES / "tracking_calls", *command], self.environment(**more))

    def by_python(self, *command: str, **more):
        return answer([self.python, PROGRAMS / "mlflow_calls.py", *command], self.environment(**more))


def interpreter(version: str) -> Path:
    """The Python of a release: this one, or one that scripts/mlflow-versions makes."""
    if version == "3.17.2":
        return Path(sys.executable)
    made = subprocess.run([ROOT / "scripts" / "mlflow-versions", version], capture_output=True, text=True, check=True)
    return Path(made.stdout.strip()) / "bin" / "python"


def answer(command: list, env: dict):
    done = subprocess.run([str(part) for part in command], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module", params=SERVERS, ids="-".join)
def release(request, workspace):
    version, kind = request.param
    folder = workspace / f"tracking-{version}-{kind}"
    folder.mkdir()
    one = Release(version, folder, new_database(kind, folder, request))
    yield one
    one.server.stop()


def numbers(shown):
    """Metrics with their values as numbers that compare, NaN by its name."""
    if isinstance(shown, list):
        return [repr(float(shown[0])), *shown[1:]]
    return {key: numbers(one) if not (isinstance(one, list) and one and isinstance(one[0], list)) else [numbers(each) for each in one] for key, one in shown.items()}


def check_same(rust: dict, python: dict):
    """Both clients say the same of an experiment."""
    for side in (rust, python):
        for run in side["runs"]:
            run["metrics"], run["history"] = numbers(run["metrics"]), numbers(run["history"])
    assert rust == python


def test_what_rust_logs_is_read_by_python(release):
    made = release.by_rust("write-runs", "from-rust")
    python = release.by_python("read-runs", "from-rust")
    check_same(release.by_rust("read-runs", "from-rust"), python)
    assert python["tags"] == {"team": "rust", "ünï": "日本", "later": "yes"}
    run, deleted = python["runs"]
    assert (run["run_id"], deleted["run_id"]) == (made["run_id"], made["deleted"])
    assert (run["name"], run["user_id"], run["status"], run["start_time"]) == ("from rust", "ada", "FINISHED", 1_700_000_000_000)
    assert run["end_time"] > run["start_time"] and deleted["lifecycle_stage"] == "deleted"
    params = {"temperature": "0.25", "model": "gpt-4o-mini", "system prompt/v1": "Be kind, 日本.", "long": "é" * 6000}
    assert run["params"] == params | {f"p{number}": str(number) for number in range(250)}
    tags = {"mlflow.source.name": "x.rs", "mlflow.runName": "from rust", "long": "x" * 8000}
    assert run["tags"] == tags | {f"t{number}": f"v{number}" for number in range(120)}
    assert [step for *_, step in run["history"]["loss"]] == list(range(2500))
    assert [float(value) for value, *_ in run["history"]["loss"]] == [1 / (step + 1) for step in range(2500)]
    assert {key: run["metrics"][key][0] for key in ("nan", "tiny", "neg", "now")} == {"nan": "nan", "tiny": "1e-300", "neg": "-0.5", "now": "3.0"}
    # What MLflow's database holds for the infinities.
    assert (run["metrics"]["inf"][0], run["metrics"]["ninf"][0]) == ("1.7976931348623157e+308", "-1.7976931348623157e+308")
    assert run["metrics"]["now"][2] == 7


def test_what_python_logs_is_read_by_rust(release):
    release.by_python("write-runs", "from-python")
    check_same(release.by_rust("read-runs", "from-python"), release.by_python("read-runs", "from-python"))


def test_inputs_models_and_the_registry(release):
    made = release.by_rust("write-rest", "rest")
    [run] = release.by_python("read-runs", "rest")["runs"]
    [used] = run["inputs"]
    place, columns = '{"url": "https://example.org/questions.csv"}', [{"type": "string", "name": "question", "required": True}]
    described = {"name": "questions", "source": place, "source_type": "http", "schema": columns}
    assert used == {
        "name": "questions",
        "digest": hashlib.sha256(json.dumps(described).encode()).hexdigest()[:8],
        "source_type": "http",
        "source": place,
        "schema": json.dumps({"mlflow_colspec": columns}),
        "profile": '{"num_rows": 2}',
        "tags": {"mlflow.data.context": "eval", "split": "a"},
    }
    model = release.by_python("read-registry", made["registered"])
    assert release.by_rust("read-registry", made["registered"]) == model
    [version] = model["versions"]
    assert (model["description"], model["tags"], model["aliases"]) == ("what it is", {"a": "b", "c": "d"}, {"champion": "1"})
    assert (version["run_id"], version["description"], version["tags"]) == (made["run_id"], "first", {"q": "w", "later": "yes"})
    assert version["source"] == "s3://bucket/model"
    if release.version == "2.22.2":
        assert "is MLflow 2.22.2 and has no logged models: use MLflow 3.0 or newer" in made["model"]["unsupported"]
        return
    logged = release.by_python("read-logged-model", made["model"])
    assert logged == {
        "name": "chat",
        "model_type": "agent",
        "status": "READY",
        "params": {"model": "gpt-4o", "late": "z"},
        "tags": {"x": "y", "t": "v"},
        "outputs": [[made["model"], 3]],
        "inputs": [made["model"]],
    }


def test_prompts(release):
    chat = release.by_rust("write-prompts")["chat"]
    release.by_python("write-prompts")
    names = ["prompts:/rust.text/1", "prompts:/rust.text/2", "prompts:/rust.text@production", "prompts:/python.text/1", "prompts:/python.text@production"]
    if release.version == "2.22.2":
        assert "prompts of one text alone" in chat
    else:
        names += ["prompts:/rust.text@latest", "prompts:/rust-chat/1", "prompts:/python-chat@latest"]
    for name in names:
        assert release.by_rust("load-prompt", name) == release.by_python("load-prompt", name), name
    first = release.by_python("load-prompt", "prompts:/rust.text@production")
    assert (first["version"], first["rendered"]) == (1, "Summarize in <sentences> sentences: <text> 日本")
    # The same tags as of a prompt that Python registers.
    ours, theirs = release.by_python("raw-prompt", "rust.text", "1"), release.by_python("raw-prompt", "python.text", "1")
    assert ours["version"].pop("reviewed") == "yes"
    assert ours["version"].keys() == theirs["version"].keys()
    assert ours["prompt"].items() >= {"mlflow.prompt.is_prompt": "true", "author": "ada"}.items()
    if release.version != "2.22.2":
        assert ours["prompt"] == theirs["prompt"]
        ours, theirs = release.by_python("raw-prompt", "rust-chat", "1"), release.by_python("raw-prompt", "python-chat", "1")
        assert ours["version"].keys() == theirs["version"].keys()
        assert ours["version"]["_mlflow_prompt_model_config"] == theirs["version"]["_mlflow_prompt_model_config"]
        assert ours["version"]["mlflow.prompt.text"] == json.dumps([{"role": "system", "content": "You are {{style}}. Grüße"}, {"role": "user", "content": "{{question}}"}])
    trace = "" if release.version == "2.22.2" else release.by_python("write-trace")["trace_id"]
    run = release.by_rust("link-prompt", "prompts:/rust.text@production", trace)["run_id"]
    found = release.by_python("linked", run, trace)
    if release.version == "2.22.2":
        assert release.by_python("raw-prompt", "rust.text", "1")["version"]["mlflow.prompt.run_ids"] == run
    else:
        assert found["run"] == found["trace"] == '[{"name": "rust.text", "version": "1"}]'


# MLflow 2 has neither; test_errors shows what is said.
@pytest.mark.parametrize("release", [server for server in SERVERS if server[0] != "2.22.2"], ids="-".join, indirect=True)
def test_traces_and_assessments(release):
    trace = release.by_python("write-trace")["trace_id"]
    run = release.by_rust("assess", trace)["run_id"]
    python = release.by_python("read-trace", trace)
    assert release.by_rust("read-trace", trace) == python
    assert python["tags"]["reviewed"] == "yes" and "gone" not in python["tags"]
    assert python["spans"] == ["root", "child"]
    said = {(one["name"], one["valid"]): one for one in python["assessments"]}
    assert said.keys() == {("quality", False), ("quality", True), ("safe", True), ("broken", True), ("expected", True), ("fact", True)}
    old, new = said["quality", False], said["quality", True]
    assert (old["value"], old["rationale"], old["metadata"], old["source"]) == (0.8, "ok", {"k": "v"}, ["HUMAN", "ada"])
    assert (new["value"], new["overrides"]) == (0.9, old["id"])
    assert (said["safe", True]["value"], said["safe", True]["source"]) == (True, ["LLM_JUDGE", "gpt-4o"])
    assert said["broken", True]["error"] == ["ValueError", "boom"]
    assert (said["expected", True]["kind"], said["expected", True]["value"]) == ("expectation", {"city": ["Paris", 1]})
    assert release.by_python("linked", run, trace)["traces"] == [trace]
    other = release.by_python("write-trace")["trace_id"]
    release.by_python("assess", other)
    assert release.by_rust("read-trace", other) == release.by_python("read-trace", other)


def test_errors(release):
    said = release.by_rust("fail", *release.by_python("prepare-failures"))
    kinds = {what: kind for what, (kind, _) in said.items()}
    since_3 = "Unsupported" if release.version == "2.22.2" else "NotFound"
    assert kinds == {
        "unknown run": "NotFound",
        "log to an unknown run": "NotFound",
        "log to a deleted run": "Deleted",
        "unknown experiment": "NotFound",
        "deleted experiment": "Deleted",
        "name is taken": "AlreadyExists",
        "parameter changes": "Invalid",
        "bad name": "Invalid",
        "bad filter": "Invalid",
        "no such tag": "NotFound",
        "no such model": "NotFound",
        "version of no model": "NotFound",
        "no such alias": "NotFound",
        "no such prompt": "NotFound",
        "tag of no trace": "NotFound",
        "no such trace": since_3,
        "assess no trace": since_3,
        "no such logged model": since_3,
    }, said
    if release.version == "2.22.2":
        assert "is MLflow 2.22.2 and has no such trace API: use MLflow 3.2 or newer" in said["assess no trace"][1]


def test_a_server_that_is_down_and_one_that_wants_other_credentials(release, httpserver_401):
    call = [EXAMPLES / "tracking_calls", "fails-with"]
    down = answer(call, release.environment(MLFLOW_TRACKING_URI=f"http://127.0.0.1:{free_port()}"))
    assert down[0] == "Unavailable" and "cannot connect to http://127.0.0.1" in down[1]
    denied = answer(call, release.environment(MLFLOW_TRACKING_URI=httpserver_401, MLFLOW_TRACKING_TOKEN="expired-token"))
    assert denied[0] == "Denied" and "sent a bearer token" in denied[1] and "expired-token" not in denied[1]


@pytest.fixture
def httpserver_401():
    """A proxy that takes no token."""

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(401)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
