"""What real MLflow's own client reads and writes, under the Python of each release: one command, answers as JSON."""

import json
import sys

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, ViewType

client = MlflowClient()


def metric(one) -> list:
    """Python reads NaN and the infinities out of texts."""
    return [repr(one.value), one.timestamp, one.step]


def read_runs(name: str):
    experiment = client.get_experiment_by_name(name)
    runs = client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL, order_by=["attributes.start_time ASC"])
    return {
        "experiment_id": experiment.experiment_id,
        "artifact_location": experiment.artifact_location,
        "tags": experiment.tags,
        "creation_time": experiment.creation_time,
        "last_update_time": experiment.last_update_time,
        "runs": [show_run(run) for run in runs],
    }


def show_run(run) -> dict:
    info, data = run.info, run.data
    return {
        "run_id": info.run_id,
        "name": info.run_name,
        "user_id": info.user_id,
        "status": info.status,
        "start_time": info.start_time,
        "end_time": info.end_time,
        "artifact_uri": info.artifact_uri,
        "lifecycle_stage": info.lifecycle_stage,
        "params": data.params,
        "tags": data.tags,
        "metrics": {one.key: metric(one) for one in data._metric_objs},
        "history": {key: [metric(one) for one in client.get_metric_history(info.run_id, key)] for key in data.metrics},
        "inputs": [
            {
                "name": one.dataset.name,
                "digest": one.dataset.digest,
                "source_type": one.dataset.source_type,
                "source": one.dataset.source,
                "schema": one.dataset.schema or None,
                "profile": one.dataset.profile or None,
                "tags": {tag.key: tag.value for tag in one.tags},
            }
            for one in run.inputs.dataset_inputs
        ],
    }


def write_runs(name: str):
    mlflow.set_experiment(name)
    with mlflow.start_run(run_name="from python", tags={"a/b": "日本"}) as run:
        mlflow.log_params({"lr": 0.1, "model": "gpt", "empty": ""})
        for start in (0, 600):
            client.log_batch(run.info.run_id, [Metric("loss", 1 / (step + 1), 1_700_000_000_000 + step, step) for step in range(start, start + 600)])
        mlflow.log_metrics({"nan": float("nan"), "inf": float("inf"), "ninf": float("-inf"), "zero": 0.0})
        source = mlflow.data.http_dataset_source.HTTPDatasetSource("https://example.org/x.csv")
        mlflow.log_input(mlflow.data.meta_dataset.MetaDataset(source, name="questions"), context="eval", tags={"t": "1"})
        with mlflow.start_run(nested=True):
            pass
    with mlflow.start_run() as failed:
        pass
    client.set_terminated(failed.info.run_id, "FAILED", end_time=1_800_000_000_000)
    client.delete_run(failed.info.run_id)
    return {"run_id": run.info.run_id}


def read_registry(name: str):
    model = client.get_registered_model(name)
    return {
        "description": model.description,
        "tags": model.tags,
        "aliases": {alias: str(version) for alias, version in model.aliases.items()},
        "created": model.creation_timestamp,
        "versions": [
            {
                "version": str(one.version),
                "source": one.source,
                "run_id": one.run_id or None,
                "description": one.description or None,
                "status": one.status,
                "created": one.creation_timestamp,
                "tags": one.tags,
                "aliases": list(one.aliases),
            }
            for one in client.search_model_versions(f"name = '{name}'")
        ],
    }


def read_logged_model(model_id: str):
    model = client.get_logged_model(model_id)
    run = client.get_run(model.source_run_id)
    return {
        "name": model.name,
        "model_type": model.model_type,
        "status": str(model.status),
        "params": model.params,
        "tags": model.tags,
        "outputs": [(one.model_id, one.step) for one in run.outputs.model_outputs],
        "inputs": [one.model_id for one in run.inputs.model_inputs],
    }


def is_3() -> bool:
    return mlflow.__version__.startswith("3.")


def write_prompts():
    register = mlflow.genai.register_prompt if is_3() else mlflow.register_prompt
    more = {"tags": {"author": "ada"}} if is_3() else {"version_metadata": {"author": "ada"}, "tags": {"app": "x"}}
    register(name="python.text", template="Say {{ word }} to {{name}}: 日本", commit_message="first", **more)
    (mlflow.genai.set_prompt_alias if is_3() else mlflow.set_prompt_alias)("python.text", "production", 1)
    if is_3():
        chat = [{"role": "system", "content": "Be {{style}}, grüß"}, {"role": "user", "content": "{{question}}"}]
        register(name="python-chat", template=chat, response_format={"type": "object"}, model_config={"model_name": "gpt-4o", "temperature": 0.2})
    return {}


def load_prompt(uri: str):
    prompt = (mlflow.genai.load_prompt if is_3() else mlflow.load_prompt)(uri)
    return {
        "name": prompt.name,
        "version": int(prompt.version),
        "uri": prompt.uri,
        "template": prompt.template,
        "rendered": prompt.format(**{name: f"<{name}>" for name in prompt.variables}),
        "commit_message": prompt.commit_message or None,
        "tags": prompt.tags if is_3() else prompt.version_metadata,
        "aliases": list(prompt.aliases),
        "response_format": prompt.response_format if is_3() else None,
        "model_config": prompt.model_config if is_3() else None,
        "created": prompt.creation_timestamp,
    }


def raw_prompt(name: str, version: str):
    """Every tag, as the registry holds them."""
    registry = client._get_registry_client()  # The client itself hides prompts.
    return {"prompt": registry.get_registered_model(name)._tags, "version": registry.get_model_version(name, version).tags}


def write_trace():
    with mlflow.start_span("root") as span:
        span.set_inputs({"q": 1})
        with mlflow.start_span("child"):
            pass
    mlflow.flush_trace_async_logging()
    return {"trace_id": span.trace_id}


def read_trace(trace_id: str):
    trace = client.get_trace(trace_id)
    return {
        "state": trace.info.state.value,
        "tags": trace.info.tags,
        "spans": [span.name for span in trace.data.spans],
        "assessments": [show_assessment(one) for one in sorted(trace.info.assessments, key=lambda one: one.assessment_id)],
    }


def show_assessment(one) -> dict:
    kind = "feedback" if one.feedback else "expectation"
    error = one.feedback.error if one.feedback else None
    return {
        "id": one.assessment_id,
        "name": one.name,
        "kind": kind,
        "value": one.feedback.value if one.feedback else one.expectation.value,
        "error": [error.error_code, error.error_message] if error else None,
        "source": [one.source.source_type, one.source.source_id],
        "rationale": one.rationale or None,
        "metadata": one.metadata or {},
        "span_id": one.span_id or None,
        "overrides": one.overrides or None,
        "valid": one.valid is not False,
        "created": one.create_time_ms,
    }


def assess(trace_id: str):
    from mlflow.entities import AssessmentSource

    human = AssessmentSource("HUMAN", "bob")
    first = mlflow.log_feedback(trace_id=trace_id, name="quality", value=0.8, source=human, rationale="ok", metadata={"k": "v"})
    mlflow.override_feedback(trace_id=trace_id, assessment_id=first.assessment_id, value=0.9)
    mlflow.log_feedback(trace_id=trace_id, name="tags", value=["a", "b"], source=AssessmentSource("LLM_JUDGE", "gpt-4o"))
    mlflow.log_feedback(trace_id=trace_id, name="broken", error=ValueError("boom"))
    mlflow.log_expectation(trace_id=trace_id, name="expected", value={"a": [1, "b"]}, source=human)
    mlflow.log_expectation(trace_id=trace_id, name="fact", value="Paris", source=human)
    return {}


def linked(run_id: str, trace_id: str):
    run = client.get_run(run_id)
    return {
        "run": run.data.tags.get("mlflow.linkedPrompts"),
        "trace": client.get_trace(trace_id).info.tags.get("mlflow.linkedPrompts") if trace_id else None,
        "traces": [one.info.trace_id for one in mlflow.search_traces(run_id=run_id, return_type="list", include_spans=False)] if trace_id else [],
    }


def prepare_failures():
    gone = client.create_experiment("gone")
    client.delete_experiment(gone)
    deleted, run = client.create_run("0"), client.create_run("0")
    client.delete_run(deleted.info.run_id)
    return [gone, deleted.info.run_id, run.info.run_id]


COMMANDS = {
    "assess": assess,
    "linked": linked,
    "load-prompt": load_prompt,
    "prepare-failures": prepare_failures,
    "raw-prompt": raw_prompt,
    "read-logged-model": read_logged_model,
    "read-registry": read_registry,
    "read-runs": read_runs,
    "read-trace": read_trace,
    "write-prompts": write_prompts,
    "write-runs": write_runs,
    "write-trace": write_trace,
}

if __name__ == "__main__":
    print(json.dumps(COMMANDS[sys.argv[1]](*sys.argv[2:])))
