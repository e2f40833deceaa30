"""Models of OpenAI's API in MLflow: logged from Rust by hand, by autolog and by the gateway, loaded and run with MLflow's own client.

Each model has to load with `mlflow.pyfunc.load_model`, predict through the fake endpoint, and show the signature and the
example that MLflow would have given it.
"""

import json
import os
import subprocess
import time
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.models import validate_serving_input

from support.fake_openai import ANSWER, FakeOpenAi
from support.gateway import ROOT
from support.mlflow_server import MlflowServer, migrate, traces_of

EXAMPLES = Path(os.environ.get("EXAMPLES_DIR", ROOT / "target" / "debug" / "examples"))
TEXT = [{"type": "string", "required": True}]
API_KEY = "sk-fake-key-of-the-tests"


def columns(*names: str) -> list:
    return [{"type": "string", "name": name, "required": True} for name in names]


def param(name: str, default, kind: str) -> dict:
    return {"name": name, "default": default, "shape": None, "type": kind}


@pytest.fixture
def openai():
    endpoint = FakeOpenAi()
    yield endpoint
    endpoint.stop()


@pytest.fixture
def server(tmp_path):
    one = MlflowServer(tmp_path / "server", f"sqlite:///{tmp_path}/mlflow.db")
    yield one
    one.stop()


@pytest.fixture
def python(monkeypatch, openai):
    """MLflow's client in this process, with the variables that a model of OpenAI needs: `python(uri)`."""

    def use(uri: str) -> MlflowClient:
        monkeypatch.setenv("OPENAI_API_KEY", API_KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", openai.url)
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        return MlflowClient(uri)

    yield use
    mlflow.set_tracking_uri(None)
    mlflow.set_registry_uri(None)


def run(example: str, *arguments: str, uri: str, openai: FakeOpenAi, **more) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "MLFLOW_", "OPENAI_"))}
    env = {**kept, "OPENAI_BASE_URL": openai.url, "OPENAI_API_KEY": API_KEY, "OTEL_SERVICE_NAME": "shop", **more}
    if uri:
        env["MLFLOW_TRACKING_URI"] = uri
    done = subprocess.run([EXAMPLES / example, *arguments], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def load(uri: str):
    """The model, once it is shown that its example is one that MLflow serves."""
    loaded = mlflow.pyfunc.load_model(uri)
    if loaded.metadata.saved_input_example_info:
        folder = mlflow.artifacts.download_artifacts(uri)
        example = loaded.metadata.get_serving_input(folder)
        assert validate_serving_input(uri, example)
    return loaded


def signature(loaded) -> dict:
    parts = loaded.metadata.signature.to_dict()
    return {name: part and json.loads(part) for name, part in parts.items()}


def versions(client: MlflowClient, name: str, count: int, seconds: float = 60) -> list:
    """The versions of a registered model, the first first, once there are `count`; then there are no more."""
    deadline = time.monotonic() + seconds
    found = []
    while time.monotonic() < deadline:
        found = client.search_model_versions(f"name='{name}'")
        if len(found) >= count:
            break
        time.sleep(0.2)
    assert len(found) == count, found
    return sorted(found, key=lambda version: int(version.version))


def test_models_logged_by_hand_load_and_predict_in_python_and_in_rust(server, openai, python):
    client = python(server.url)
    printed = run("log_model", uri=server.url, openai=openai)
    assert printed.splitlines()[-1] == f"predicted {ANSWER}"
    asked = {"model": "gpt-4o-mini", "temperature": 0.9, "max_tokens": 64, "response_format": {"type": "text"}}
    system = {"role": "system", "content": "You are terse. Answer as {json} or not."}
    said = [system, {"role": "user", "content": "Tell me about dogs in German. Ünïcode: 😀"}]
    assert openai.requests[-1] == ("/v1/chat/completions", {**asked, "messages": said})

    guide = load("models:/by-hand/1")
    assert signature(guide) == {
        "inputs": columns("lang", "topic"),
        "outputs": TEXT,
        "params": [param("temperature", 0.2, "double"), param("max_tokens", 64, "long")],
    }
    assert guide.input_example == [{"topic": "cats", "lang": "English"}]
    assert guide.predict([{"topic": "cats", "lang": "English"}], params={"temperature": 0.7}) == [ANSWER]
    path, request = openai.requests[-1]
    assert (request["temperature"], request["max_tokens"]) == (0.7, 64)
    assert request["messages"] == [system, {"role": "user", "content": "Tell me about cats in English. Ünïcode: 😀"}]

    plain = load("models:/by-hand-plain/1")
    assert signature(plain) == {"inputs": TEXT, "outputs": TEXT, "params": None}
    assert plain.input_example == ["hello"]
    assert load("models:/by-hand-completion/1").predict(["x"]) == [" Paris."]
    assert openai.requests[-1] == ("/v1/completions", {"model": "gpt-3.5-turbo-instruct", "prompt": ["Say x."]})
    assert load("models:/by-hand-embedding/1").predict(["x"]) == [[0.25, -0.5, 0.125]]

    # MLflow's page shows the models of the run from its outputs.
    [logged] = [one for one in client.search_logged_models(["0"]) if one.name == "guide"]
    assert logged.status.value == "READY" and logged.params["temperature"] == "0.2"
    assert logged.model_id in [output.model_id for output in client.get_run(logged.source_run_id).outputs.model_outputs]


def test_a_model_at_azure_predicts_there(server, openai, python, monkeypatch):
    python(server.url)
    run("log_model", uri=server.url, openai=openai)
    base = openai.url.removesuffix("/v1")
    azure = load("models:/by-hand-azure/1")
    assert azure.metadata.metadata["openai_api_type"] == "azure"
    for name, value in {"TYPE": "azure", "BASE": base, "VERSION": "2024-10-21"}.items():
        monkeypatch.setenv(f"OPENAI_API_{name}", value)
    monkeypatch.setenv("OPENAI_DEPLOYMENT_NAME", azure.metadata.metadata["openai_deployment_name"])
    assert mlflow.pyfunc.load_model("models:/by-hand-azure/1").predict(["hello"]) == [ANSWER]
    path = "/openai/deployments/gpt-4o-at-azure/chat/completions?api-version=2024-10-21"
    assert openai.requests[-1][0] == path
    # From Rust the model itself knows where it is; only the host is another here.
    run("load_model", "models:/by-hand-azure/1", "hello", uri=server.url, openai=openai, OPENAI_API_BASE=base)
    assert openai.requests[-1][0] == path


def test_models_logged_by_python_are_run_from_rust(server, openai, python):
    client = python(server.url)
    with mlflow.start_run() as active:
        messages = [{"role": "user", "content": "Tell me about {topic} in {lang}."}]
        info = mlflow.openai.log_model("gpt-4o-mini", "chat.completions", name="chat", messages=messages, temperature=0.5, registered_model_name="py", pip_requirements=["mlflow"])
        mlflow.openai.log_model("text-embedding-3-small", "embeddings", name="vectors", pip_requirements=["mlflow"])
    client.set_registered_model_alias("py", "champion", "1")
    record = json.dumps({"topic": "cats", "lang": "en"})
    for uri in ["models:/py/1", "models:/py@champion", "models:/py/latest", info.model_uri, f"runs:/{active.info.run_id}/chat"]:
        printed = run("load_model", uri, record, uri=server.url, openai=openai)
        assert printed.splitlines() == ['gpt-4o-mini takes ["lang", "topic"]', json.dumps(ANSWER)], uri
        assert openai.requests[-1][1]["messages"] == [{"role": "user", "content": "Tell me about cats in en."}]
        assert openai.requests[-1][1]["temperature"] == 0.5
    printed = run("load_model", f"runs:/{active.info.run_id}/vectors", "x", uri=server.url, openai=openai)
    assert printed.splitlines()[-1] == "[0.25,-0.5,0.125]"


def check_autologged(client: MlflowClient, openai: FakeOpenAi):
    """The two models of the example: without a prompt, and with a template."""
    first, second = versions(client, "openai-auto", 2)
    plain = load("models:/openai-auto/1")
    assert signature(plain) == {"inputs": TEXT, "outputs": TEXT, "params": [param("temperature", 0.95, "double")]}
    assert plain.input_example == ["State that you are alive."]
    # As in MLflow's guide.
    assert plain.predict("How much relative time difference would occur?") == [ANSWER]
    assert openai.requests[-1][1] == {
        "model": "gpt-4o",
        "temperature": 0.95,
        "messages": [{"role": "user", "content": "How much relative time difference would occur?"}],
    }
    template = load("models:/openai-auto/2")
    assert signature(template) == {"inputs": columns("lang", "topic"), "outputs": TEXT, "params": [param("max_tokens", 64, "long")]}
    assert template.input_example == [{"lang": "German", "topic": "cats"}]
    return first, second


@pytest.mark.parametrize("traces", ["true", "false"])
def test_autolog_logs_each_model_once_also_after_a_restart(traces, server, openai, python):
    client = python(server.url)
    run_id = client.create_run("0").info.run_id
    for _ in range(2):
        run("autolog_models", uri=server.url, openai=openai, MLFLOW_RUN_ID=run_id, LOG_TRACES=traces)
    first, second = check_autologged(client, openai)
    outputs = [output.model_id for output in client.get_run(run_id).outputs.model_outputs]
    assert len(outputs) == 2 and len(client.search_logged_models(["0"])) == 2
    found = client.search_traces(locations=["0"])
    linked = sorted(trace.info.trace_metadata["mlflow.modelId"] for trace in found)
    expected = sorted(outputs * 4) if traces == "true" else []
    assert linked == expected
    # Linking changes nothing else of a trace.
    assert all(trace.info.state.value == "OK" and trace.info.execution_duration is not None for trace in found)


def test_a_server_that_is_down_costs_the_calls_nothing(openai):
    printed = run("autolog_models", uri="http://127.0.0.1:9", openai=openai)
    assert printed.splitlines() == [ANSWER, ANSWER]


@pytest.mark.parametrize("kind", ["rest", "sqlite"])
def test_the_gateway_logs_the_models_of_traces(kind, gateway, openai, python, tmp_path, request):
    if kind == "rest":
        uri = request.getfixturevalue("server").url
    else:
        uri = f"sqlite:///{tmp_path}/direct.db"
        migrate(uri)
    client = python(uri)
    experiment = client.create_experiment("shop", artifact_location=None if kind == "rest" else str(tmp_path / "artifacts"))
    settings = {"models": {"log": True, "registered_name": "from-traces", "input_examples": True}}
    one = gateway(uri, experiment={"from": ["resource.service.name"], "create": True}, **settings)
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": one.http, "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    azure = {"AZURE_OPENAI_ENDPOINT": openai.url.removesuffix("/v1"), "AZURE_OPENAI_DEPLOYMENT": "my-gpt", "AZURE_OPENAI_API_KEY": API_KEY}
    for count, example in enumerate(["chat", "chat", "embeddings", "azure"], 1):
        run(example, uri="", openai=openai, **env, **azure)
        traces_of(client, "shop", count)
    versions(client, "from-traces", 3)
    chat, vectors, deployed = (load(f"models:/from-traces/{number}") for number in (1, 2, 3))
    assert signature(chat)["inputs"] == TEXT and signature(chat)["outputs"] == TEXT
    assert chat.predict(["x"]) == [ANSWER]
    # The dimensions that the program asked for are the default of a parameter.
    [dimensions] = signature(vectors)["params"]
    assert (dimensions["name"], dimensions["type"]) == ("dimensions", "long")
    [vector] = vectors.predict(["x"])
    assert len(vector) == dimensions["default"]
    assert deployed.metadata.metadata["openai_deployment_name"] == "my-gpt" and deployed.input_example == ["Say hello."]
    deadline = time.monotonic() + 60
    linked = []
    while time.monotonic() < deadline and None in linked or not linked:
        linked = [trace.info.trace_metadata.get("mlflow.modelId") for trace in client.search_traces(locations=[experiment])]
        time.sleep(0.2)
    models = {model.model_id for model in client.search_logged_models([experiment])}
    assert len(models) == 3 and set(linked) == models and len(linked) == 4


@pytest.fixture
def server_of_mlflow_2(tmp_path):
    made = subprocess.run([ROOT / "scripts" / "mlflow-versions", "2.22.2"], capture_output=True, text=True, check=True)
    program = Path(made.stdout.strip()) / "bin" / "mlflow"
    one = MlflowServer(tmp_path / "server-2", f"sqlite:///{tmp_path}/mlflow-2.db", program=program)
    yield one
    one.stop()


def test_on_mlflow_2_models_are_folders_of_runs(server_of_mlflow_2, openai, python):
    client = python(server_of_mlflow_2.url)
    run("log_model", uri=server_of_mlflow_2.url, openai=openai)
    assert load("models:/by-hand/1").predict([{"topic": "cats", "lang": "English"}]) == [ANSWER]
    [hand] = client.search_runs(["0"])
    history = json.loads(hand.data.tags["mlflow.log-model.history"])
    assert [entry["artifact_path"] for entry in history] == ["guide", "plain", "azure", "completion", "embedding"]
    for _ in range(2):
        run("autolog_models", uri=server_of_mlflow_2.url, openai=openai)
    first, second = check_autologged(client, openai)
    for version in (first, second):
        own = client.get_run(version.run_id)
        assert own.info.status == "FINISHED" and version.source == f"{own.info.artifact_uri}/model"
        assert load(f"runs:/{version.run_id}/model").predict([{"topic": "a", "lang": "b"}] if version is second else ["x"]) == [ANSWER]
    printed = run("load_model", "models:/openai-auto/1", "x", uri=server_of_mlflow_2.url, openai=openai)
    assert printed.splitlines()[-1] == json.dumps(ANSWER)
