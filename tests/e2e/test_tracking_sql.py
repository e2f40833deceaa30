"""Tracking in MLflow's own database: the rows are a server's, Python reads what Rust wrote, and the other way round.

Python makes its calls through a real MLflow server, whose rows are the measure; it reads straight from the database.
"""

import json
import math
import os
import re
import subprocess
from pathlib import Path

import pytest
import sqlalchemy
from mlflow import MlflowClient
from mlflow.entities import (
    AssessmentSource, Dataset, DatasetInput, Expectation, Feedback, InputTag, LoggedModelInput, LoggedModelOutput,
    LoggedModelParameter, LoggedModelStatus, Metric, Param, RunTag, TraceInfo, TraceLocation, TraceState,
)
from mlflow.entities.assessment_error import AssessmentError
from mlflow.tracing.client import TracingClient

from conftest import new_database
from support.gateway import ROOT
from support.mlflow_server import MlflowServer

PROGRAM = Path(os.environ.get("EXAMPLES_DIR", ROOT / "target" / "debug" / "examples")) / "sql_tracking"
TRACE = "tr-" + "1f" * 16
TABLES = [
    "experiments", "experiment_tags", "runs", "tags", "params", "metrics", "latest_metrics", "datasets", "inputs",
    "input_tags", "logged_models", "logged_model_params", "logged_model_tags", "registered_models",
    "registered_model_tags", "registered_model_aliases", "model_versions", "model_version_tags", "assessments",
    "entity_associations", "trace_tags",
]
# When the calls were made.
TIMES = {
    "creation_time", "last_update_time", "last_updated_time", "created_time", "creation_timestamp_ms",
    "last_updated_timestamp_ms",
}


def rust(*command: str):
    done = subprocess.run([PROGRAM, *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


class Written:
    """The same calls, made by Python and by Rust, each in a database of its own."""

    def __init__(self, kind: str, folder: Path, request):
        self.python_uri, self.rust_uri = (new_database(kind, folder, request) for _ in range(2))
        self.server = MlflowServer(folder / f"tracking-sql-{kind}", self.python_uri)
        start_trace(self.server.url)
        start_trace(self.rust_uri)
        self.by_python = write(self.server.client())
        self.by_rust = rust("write", self.rust_uri, TRACE)

    def sides(self):
        return [(self.python_uri, self.by_python), (self.rust_uri, self.by_rust)]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def written(request, workspace):
    both = Written(request.param, workspace, request)
    yield both
    both.server.stop()


def start_trace(uri: str):
    info = TraceInfo(TRACE, TraceLocation.from_experiment_id("0"), request_time=1_000, state=TraceState.OK, execution_duration=5)
    TracingClient(uri).start_trace(info)


def write(client: MlflowClient) -> dict:
    """The calls of `programs/sql_tracking.rs`."""
    experiment_id = client.create_experiment("chat", artifact_location="s3://bucket/chat", tags={"team": "a"})
    client.set_experiment_tag(experiment_id, "k", "v")
    run = client.create_run(experiment_id, start_time=1_000, tags={"mlflow.user": "ada"}, run_name="first")
    run_id = run.info.run_id
    log(client, run_id)
    model_id = write_models(client, experiment_id, run_id)
    write_registry(client, run_id, model_id)
    write_trace(client, run_id)
    client.set_terminated(run_id, "FINISHED", 9_000)
    client.update_run(run_id, name="renamed")
    return {"experiment_id": experiment_id, "run_id": run_id, "model_id": model_id}


def log(client: MlflowClient, run_id: str):
    client.log_batch(
        run_id,
        [Metric("acc", 0.5, 1, 0), Metric("acc", 0.75, 2, 1), Metric("nan", math.nan, 3, 0)],
        [Param("lr", "0.1"), Param("long", "ä" * 7_000)],
        [RunTag("a/b c", "v"), RunTag("long", "y" * 9_000)],
    )
    client.log_batch(
        run_id,
        [Metric("inf", math.inf, 3, 0), Metric("ninf", -math.inf, 3, 0), Metric("acc", 0.25, 9, 0), Metric("small", 1e-7, 3, -2)],
        [Param("lr", "0.1")],
        [RunTag("a/b c", "w"), RunTag("gone", "")],
    )
    client.delete_tag(run_id, "gone")
    dataset = Dataset("d", "abc", "http", '{"url": "https://x/y.csv"}', profile='{"num_rows": 2}')
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "eval")])])


def write_models(client: MlflowClient, experiment_id: str, run_id: str) -> str:
    model = client.create_logged_model(experiment_id, "lm", source_run_id=run_id, tags={"t": "1"}, params={"p": "1"})
    client._tracking_client.store.log_logged_model_params(model.model_id, [LoggedModelParameter("q", "2")])
    client.set_logged_model_tags(model.model_id, {"t": "2"})
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 2)])
    client.log_inputs(run_id, models=[LoggedModelInput(model.model_id)])
    return model.model_id


def write_registry(client: MlflowClient, run_id: str, model_id: str):
    client.create_registered_model("auto", {"a": "b"}, "about")
    client.create_registered_model("plain")
    registry = client._get_registry_client()
    registry.create_model_version("auto", f"models:/{model_id}", run_id, {"q": "w"}, description="one", model_id=model_id)
    for name in ["auto", "plain"]:
        registry.create_model_version(name, "s3://bucket/elsewhere")
    client.set_registered_model_tag("auto", "a", "c")
    client.set_model_version_tag("auto", "2", "k", "v")
    client.set_registered_model_alias("auto", "champion", "1")
    client.set_registered_model_alias("auto", "challenger", "2")
    client.delete_registered_model_alias("auto", "challenger")


def write_trace(client: MlflowClient, run_id: str):
    client.link_traces_to_run([TRACE], run_id)
    client.set_trace_tag(TRACE, "k", "v")
    client.set_trace_tag(TRACE, "mlflow.traceName", "asked")
    store = client._tracking_client.store
    times = {"create_time_ms": 5_000, "last_update_time_ms": 5_000, "trace_id": TRACE}
    bob = AssessmentSource("HUMAN", "bob")
    store.create_assessment(Feedback("quality", 0.5, source=bob, rationale="why ä", metadata={"k": "v"}, **times))
    wrong = store.create_assessment(Feedback("ok", "Yes", source=AssessmentSource("LLM_JUDGE", "gpt"), **times))
    store.create_assessment(Feedback("ok", False, source=bob, overrides=wrong.assessment_id, **times))
    store.create_assessment(Feedback("failed", error=AssessmentError("E", "boom"), source=AssessmentSource("CODE", "judge.py"), **times))
    store.create_assessment(Expectation("expected", {"a": [1, "ä"]}, source=bob, **times))


def rows(uri: str, ids: dict) -> dict:
    """The rows of each table, without ids and times that differ from run to run."""
    engine = sqlalchemy.create_engine(uri)
    with engine.connect() as connection:
        tables = {
            table: sorted(json.dumps(neutral(row, ids), sort_keys=True) for row in connection.execute(sqlalchemy.text(f"SELECT * FROM {table}")).mappings())
            for table in TABLES
        }
    engine.dispose()
    return tables


def neutral(row, ids: dict) -> dict:
    shown = {}
    for column, value in row.items():
        if column in TIMES:
            value = "time" if value else value
        elif isinstance(value, str):
            for name, known in ids.items():
                value = value.replace(known, name) if len(known) > 9 else value
            value = re.sub("[0-9a-f]{32}", "id", value)
        shown[column] = value
    if shown.get("experiment_id") == 0 and "artifact_location" in shown:
        # The root of the artifacts is what each was started with.
        shown["artifact_location"] = "root"
    if shown.get("key") == "mlflow.artifactLocation":
        shown["value"] = "root"
    return shown


def test_rows_are_those_of_a_server(written):
    expected, found = (rows(uri, ids) for uri, ids in written.sides())
    for table in TABLES:
        assert found[table] == expected[table], table
    assert all(expected.values()), "every table has a part in the calls"


def number(value: float):
    return "nan" if math.isnan(value) else value


def seen_by_python(uri: str, ids: dict) -> dict:
    """What `programs/sql_tracking.rs read` says."""
    client = MlflowClient(uri)
    run = client.get_run(ids["run_id"])
    experiment = client.get_experiment(run.info.experiment_id)
    model = client.get_logged_model(ids["model_id"])
    named = client.get_registered_model("auto")
    version = client.get_model_version_by_alias("auto", "champion")
    info = TracingClient(uri).get_trace_info(TRACE)
    metric = lambda one: [number(one.value), one.timestamp, one.step]  # noqa: E731
    return {
        "experiment": [experiment.name, experiment.artifact_location, experiment.tags],
        "run": [run.info.run_name, run.info.user_id, run.info.status, run.info.start_time, run.info.end_time, run.info.artifact_uri],
        "params": run.data.params,
        "tags": run.data.tags,
        "metrics": {one.key: metric(one) for one in run.data._metric_objs},
        "history": [metric(one) for one in client.get_metric_history(ids["run_id"], "acc")],
        "datasets": [
            [one.dataset.name, one.dataset.digest, one.dataset.source_type, one.dataset.source, one.dataset.profile, {tag.key: tag.value for tag in one.tags}]
            for one in run.inputs.dataset_inputs
        ],
        "model_inputs": [one.model_id for one in run.inputs.model_inputs],
        "model": [model.name, model.artifact_location, f"LOGGED_MODEL_{model.status}", model.source_run_id, model.tags, len(model.params)],
        "registered": [named.description, named.tags, [[alias, str(number)] for alias, number in named.aliases.items()]],
        "version": [str(version.version), version.source, version.run_id, version.status, version.description, version.tags, version.aliases],
        "runs": len(client.search_runs([run.info.experiment_id])),
        "traces": len(client.search_traces(locations=[run.info.experiment_id], include_spans=False)),
        "trace_tags": info.tags,
        "spans": 0,
        "assessments": sorted(map(shown, info.assessments), key=str),
    }


def shown(one) -> list:
    feedback = one.feedback is not None
    error = one.feedback.error if feedback else None
    value = one.feedback.value if feedback else one.expectation.value
    return [
        one.name, "feedback" if feedback else "expectation", value, error and [error.error_code, error.error_message],
        [one.source.source_type, one.source.source_id], one.rationale, one.metadata or {}, one.valid,
    ]


def test_both_read_the_same_of_what_either_wrote(written):
    for uri, ids in written.sides():
        python = seen_by_python(uri, ids)
        found = rust("read", uri, ids["run_id"], ids["model_id"], TRACE)
        found["assessments"].sort(key=str)
        assert found == json.loads(json.dumps(python))
        assert (len(found["assessments"]), len(found["metrics"]), found["runs"]) == (5, 5, 1)


def start(*command: str) -> subprocess.Popen:
    return subprocess.Popen([PROGRAM, *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def answers(started: list[subprocess.Popen]) -> list:
    found = []
    for process in started:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err[-4000:]
        found.append(json.loads(out))
    return found


def test_processes_that_create_the_same_runs_get_the_same_runs(written):
    one, other = answers([start("create-runs", written.python_uri, "0", "40") for _ in range(2)])
    assert one == other, "each process must see who came first"
    runs = MlflowClient(written.python_uri).search_runs(["0"])
    assert len(runs) == 40
    assert all(run.data.tags["mlflow.runName"] == run.info.run_name for run in runs)


def test_versions_that_processes_and_a_server_make_at_once_are_distinct(written):
    client = written.server.client()
    client.create_registered_model("busy")
    started = [start("create-versions", written.python_uri, "busy", "15") for _ in range(2)]
    registry = client._get_registry_client()
    by_server = [int(registry.create_model_version("busy", "s3://bucket/elsewhere").version) for _ in range(5)]
    numbers = by_server + [int(version) for made in answers(started) for version in made]
    assert sorted(numbers) == list(range(1, 36))
