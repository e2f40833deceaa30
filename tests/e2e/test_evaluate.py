"""MLflow's LLM tracking examples and its evaluation, from Rust: read back with MLflow's Python client.

The example programs are MLflow's own, translated: parameters, tables, artifacts, and the evaluation of a logged model
with two questions; and champion against challenger with a judge.
"""

import json
import os
import subprocess
from pathlib import Path

import mlflow
import pytest
import yaml
from mlflow import MlflowClient

from support import fake_openai
from support.gateway import ROOT
from support.mlflow_server import MlflowServer

EXAMPLES = Path(os.environ.get("EXAMPLES_DIR", ROOT / "target" / "debug" / "examples"))
QUESTIONS = [
    "Are squirrels astronauts?",
    "From a logistics perspective, do you think a single weather balloon could get a squirrel to space?",
]
TWO_SENTENCES = f"{fake_openai.ANSWER} {fake_openai.SECOND}"
# What mlflow.evaluate of MLflow 3.17.2 logs for these answers, with textstat 0.7.13 and tiktoken.
ARI = {fake_openai.ANSWER: 1.9800000000000004, TWO_SENTENCES: -0.2681818181818194}
FLESCH_KINCAID = {TWO_SENTENCES: 1.5731818181818191}
TOKENS = {TWO_SENTENCES: 14}


@pytest.fixture(scope="module")
def server(workspace):
    one = MlflowServer(workspace / "evaluate", f"sqlite:///{workspace / 'evaluate.db'}")
    mlflow.set_tracking_uri(one.url)
    yield one
    mlflow.set_tracking_uri(None)
    one.stop()


@pytest.fixture
def run(server, openai_endpoint):
    """Runs an example in an experiment of its own: (what it prints, its runs, the oldest first)."""

    def start(example: str, experiment: str | None = None, **more) -> tuple[list[str], list]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "MLFLOW_"))}
        env = {
            **kept, "MLFLOW_TRACKING_URI": server.url, "MLFLOW_EXPERIMENT_NAME": experiment or example,
            "OPENAI_BASE_URL": openai_endpoint, "OPENAI_API_KEY": "sk-fake", **more,
        }
        done = subprocess.run([EXAMPLES / example], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr[-4000:]
        client = MlflowClient(server.url)
        runs = client.search_runs([mlflow.set_experiment(experiment or example).experiment_id], order_by=["attributes.start_time ASC"])
        assert {one.info.status for one in runs} == {"FINISHED"}
        # A search does not give the models that a run used.
        return done.stdout.splitlines(), [client.get_run(one.info.run_id) for one in runs]

    return start


def table_of(run, name: str = "eval_results_table.json") -> dict:
    return mlflow.load_table(name, run_ids=[run.info.run_id]).to_dict(orient="list")


def test_params(run):
    printed, [one] = run("track_params")
    template = "Should we send {animal} to space using a {mode_of_transportation}?"
    values = {"animal": "squirrels", "mode_of_transportation": "weather balloon"}
    assert one.data.params == {"prompt_template": template, **values}
    assert printed[0] == template.format(**values)
    assert sorted(printed[1:]) == sorted(f"{name}: {value}" for name, value in one.data.params.items())


def test_tables(run):
    printed, runs = run("track_tables")
    assert len(runs) == 3
    for one in runs:
        table = mlflow.load_table("important_information.json", run_ids=[one.info.run_id])
        assert list(table.columns) == ["Prompts", "Response", "We used an LLM?"]
        assert list(table["Prompts"]) == ["I am a squirrel and don't have a watch", "What time is it?"]
        assert list(table["We used an LLM?"]) == [False, False]
        assert table["Response"].nunique() == 1
    everything = mlflow.load_table("important_information.json", extra_columns=["run_id"])
    assert sorted(everything["run_id"]) == sorted(2 * [one.info.run_id for one in runs])
    assert printed[0] == " | ".join(everything.columns) and len(printed) == 1 + len(everything)


def test_artifacts(run, tmp_path):
    printed, [one] = run("track_artifacts")
    assert printed == ["model/", "prompts/", "settings.yaml", "3"]
    folder = Path(mlflow.artifacts.download_artifacts(run_id=one.info.run_id, dst_path=str(tmp_path)))
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {"model/config.json", "model/tokenizer/vocab.txt", "prompts/system.txt", "settings.yaml"}
    assert json.loads((folder / "model/config.json").read_text()) == {"model_type": "bert"}
    assert (folder / "prompts/system.txt").read_text() == "You are terse."
    assert yaml.safe_load((folder / "settings.yaml").read_text()) == {"temperature": 0.2, "stop": ["\n"]}


def test_evaluation_with_two_questions(run):
    printed, [one] = run("evaluate")
    table = table_of(one)
    columns = ["inputs", "ground_truth", "outputs", "latency", "token_count", "flesch_kincaid_grade_level/v1/score", "ari_grade_level/v1/score"]
    assert list(table) == columns
    assert table["inputs"] == QUESTIONS and table["outputs"] == [TWO_SENTENCES] * 2
    assert table["token_count"] == [TOKENS[TWO_SENTENCES]] * 2
    assert table["ari_grade_level/v1/score"] == [pytest.approx(ARI[TWO_SENTENCES])] * 2
    metrics = dict(one.data.metrics)
    assert all(seconds > 0 for seconds in table["latency"])
    assert metrics.pop("latency/mean") == pytest.approx(sum(table["latency"]) / 2)
    assert metrics.pop("latency/variance") >= 0 and metrics.pop("latency/p90") > 0
    ari, grade = ARI[TWO_SENTENCES], FLESCH_KINCAID[TWO_SENTENCES]
    assert metrics == {
        "ari_grade_level/v1/mean": ari, "ari_grade_level/v1/variance": 0.0, "ari_grade_level/v1/p90": ari,
        "flesch_kincaid_grade_level/v1/mean": grade, "flesch_kincaid_grade_level/v1/variance": 0.0, "flesch_kincaid_grade_level/v1/p90": grade,
        "exact_match/v1": 0.0, "manually logged ari grade level": ari,
    }
    assert f"manually logged ari grade level: {ari}" in printed
    [dataset] = one.inputs.dataset_inputs
    assert (dataset.dataset.name, json.loads(dataset.dataset.profile)) == ("dataset", {"num_rows": 2, "num_elements": 4})
    [model] = one.inputs.model_inputs
    [made] = one.outputs.model_outputs
    assert model.model_id == made.model_id
    loaded = mlflow.pyfunc.load_model(f"models:/{model.model_id}")
    assert loaded.metadata.model_id == model.model_id


def test_champion_and_challenger_in_one_table(run, server):
    printed, [one] = run("evaluate_aliases")
    table = table_of(one)
    score, reason = fake_openai.JUDGED[1:]
    expected = {"inputs", "ground_truth"}
    for alias, answer in [("champion", TWO_SENTENCES), ("challenger", fake_openai.ANSWER)]:
        assert table[f"{alias}/outputs"] == [answer] * 2
        assert table[f"{alias}/ari_grade_level/v1/score"] == [pytest.approx(ARI[answer])] * 2
        assert table[f"{alias}/answer_correctness/v1/score"] == [score] * 2
        assert table[f"{alias}/answer_correctness/v1/justification"] == [reason] * 2
        names = ["outputs", "ari_grade_level/v1/score", "answer_correctness/v1/score", "answer_correctness/v1/justification"]
        expected |= {f"{alias}/{name}" for name in names}
    assert set(table) == expected
    metrics = one.data.metrics
    assert metrics["champion/exact_match/v1"] == 0 and metrics["challenger/exact_match/v1"] == 0.5
    assert metrics["champion/ari_grade_level/v1/mean"] == ARI[TWO_SENTENCES]
    assert metrics["challenger/ari_grade_level/v1/mean"] == ARI[fake_openai.ANSWER]
    assert metrics["champion/answer_correctness/v1/mean"] == score
    assert len(printed) == len(metrics) == 14
    client = MlflowClient(server.url)
    versions = {alias: client.get_model_version_by_alias("capitals", alias).version for alias in ("champion", "challenger")}
    assert versions == {"champion": "1", "challenger": "2"}
    assert len(one.inputs.model_inputs) == 2


def test_a_model_that_fails_is_told_in_the_table(run, openai_endpoint):
    _, [one] = run("evaluate", "evaluate-nobody", OPENAI_BASE_URL=f"{openai_endpoint}/nowhere")
    table = table_of(one)
    assert [isinstance(output, str) for output in table["outputs"]] == [False, False]
    assert all("404" in error for error in table["error"])
    assert one.data.metrics == {"errors": 2.0}
