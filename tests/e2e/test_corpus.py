"""The golden corpus through the binary: in strict mode the rows are those of MLflow 3.17.2, raw text included."""

import glob
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.message import DecodeError
from mlflow import MlflowClient
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from support.gateway import ROOT, UNQUEUED, stored
from support.mlflow_server import migrate
from support.otlp import answer, ids
from support.process import http

CORPUS = ROOT / "tests" / "golden"
TOOLS = ROOT / "tests" / "golden_tools"
CASES = 79
REFUSED = {400, 404, 413, 415}


@pytest.fixture
def corpus_gateway(empty_database, gateway):
    """A strict gateway and its database: (gateway, tracking URI, ids of the corpus's experiments)."""

    def start(kind: str, made_by: str):
        uri = empty_database(kind)
        if made_by == "mlflow":
            migrate(uri)
        running = gateway(uri, compat="strict", sending_queue=UNQUEUED)
        client = MlflowClient(tracking_uri=uri)
        # The ids that the corpus was recorded with; some of its answers name them.
        experiments = {"main": client.create_experiment("golden-public"), "alt": client.create_experiment("golden-public-alt")}
        return running, uri, experiments

    return start


def tool(name: str, *arguments) -> str:
    done = subprocess.run([sys.executable, TOOLS / name, *map(str, arguments)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{name}:\n{done.stdout[-6000:]}{done.stderr[-2000:]}"
    return done.stdout


@pytest.mark.parametrize("made_by", ["us", "mlflow"])
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_strict_mode_writes_the_rows_of_mlflow(kind, made_by, corpus_gateway):
    running, uri, experiments = corpus_gateway(kind, made_by)
    named = [part for role, number in experiments.items() for part in ("--experiment", f"{role}={number}")]
    replayed = tool("replay.py", running.http, CORPUS, "--skip-rejected", "--skip-needs", "start_trace", "--status-only", "--dialect", kind, *named)
    assert " 0 unexpected responses" in replayed
    database = uri if kind == "postgresql" else uri.removeprefix("sqlite:///")
    checked = tool("check_rows.py", database, CORPUS, "--skip-needs", "start_trace", "--quiet", *named)
    assert checked.splitlines()[-1] == f"{CASES} passed, 0 failed"
    assert "raw text differs (same JSON): 0 in 0 cases" in checked


def all_requests(kind: str):
    for file in sorted(glob.glob(str(CORPUS / "*" / "case.json"))):
        case = Path(file).parent
        own = case / f"expected.{kind}.json"
        expected = json.loads((own if own.exists() else case / "expected.json").read_text())
        for request, response in zip(json.loads(Path(file).read_text())["requests"], expected["responses"], strict=True):
            if request["path"] == "/v1/traces":
                yield case, request, response


@pytest.mark.parametrize("compat", ["strict", "enriched"])
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_mlflow_refuses_costs_no_good_span(kind, compat, empty_database, gateway):
    uri = empty_database(kind)
    running = gateway(uri, compat=compat, sending_queue=UNQUEUED)
    client = MlflowClient(tracking_uri=uri)
    numbers = {"$EXP": client.create_experiment("golden-public"), "$ALT": client.create_experiment("golden-public-alt")}
    refused_by_mlflow, wrong = 0, []
    for case, request, response in all_requests(kind):
        body = (case / request["file"]).read_bytes()
        if request.get("substitute"):
            body = body.replace(b"$EXP", numbers["$EXP"].encode())
        headers = {name: numbers.get(value, value) for name, value in request["headers"].items()}
        status, _, said = http(request["method"], running.http + request["path"], body, headers)
        refused_by_mlflow += response["status"] >= 400
        name = f"{case.name}/{request['file']}"
        if response["status"] < 400 and status != 200:
            wrong.append(f"{name}: MLflow takes it, we answer {status} {said[:200]!r}")
        elif status != 200 and (status not in REFUSED or not said):
            wrong.append(f"{name}: {status} {said[:200]!r}")
        elif status == 200:
            wrong += check_stored(name, uri, body, headers, said)
    assert refused_by_mlflow > 20
    assert not wrong, "\n".join(wrong)


def check_stored(name: str, uri: str, body: bytes, headers: dict, said: bytes) -> list[str]:
    """Every span of an accepted request is stored, but for those that the answer counts as refused."""
    if headers.get("content-type", "").lower() != "application/x-protobuf" or "content-encoding" in headers:
        return []
    request = ExportTraceServiceRequest()
    try:
        request.ParseFromString(body)
    except DecodeError:
        # Refused strings, or deeper than Python reads: its spans cannot be named here.
        return []
    rejected, reason = answer(said)
    if rejected and not reason:
        return [f"{name}: {rejected} spans refused without a reason"]
    sent = ids(request)
    missing = len(sent) - stored(uri, request, seconds=0)
    return [f"{name}: {missing} spans missing, {rejected} refused ({reason})"] if missing > rejected else []


def test_the_tools_find_a_wrong_row(corpus_gateway):
    """Guards the comparison itself: after one changed byte it must fail."""
    import sqlite3

    running, uri, experiments = corpus_gateway("sqlite", "us")
    named = [part for role, number in experiments.items() for part in ("--experiment", f"{role}={number}")]
    case = "01-genai-chat"
    tool("replay.py", running.http, CORPUS, "--status-only", "--case", case, *named)
    database = uri.removeprefix("sqlite:///")
    assert "1 passed, 0 failed" in tool("check_rows.py", database, CORPUS, "--case", case, *named)
    running.terminate()
    connection = sqlite3.connect(database)
    connection.execute("UPDATE spans SET content = replace(content, 'STATUS_CODE', 'STATUS-CODE')")
    connection.commit()
    connection.close()
    done = subprocess.run(
        [sys.executable, TOOLS / "check_rows.py", database, CORPUS, "--case", case, *named], capture_output=True, text=True, env=os.environ,
    )
    assert done.returncode == 1 and "0 passed, 1 failed" in done.stdout
