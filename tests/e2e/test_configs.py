"""Every configuration of collector-config/: valid, and run as it is."""

import subprocess

import pytest

from support import collector, configs
from support.gateway import Gateway, Ports, binary, config
from support.mlflow_server import MlflowServer, traces_of
from support.otlp import trace_request
from support.process import Process, answers, http, listens

# What the configurations of otel-mlflow say, and what a test has to move to a free port.
LISTENERS = {"receivers.otlp.protocols.grpc.endpoint": "grpc", "receivers.otlp.protocols.http.endpoint": "http", "extensions.admin.endpoint": "admin"}
NAMES = [path.name for path in configs.ours()]


def test_there_are_configurations():
    assert len(NAMES) >= 4 and len(configs.theirs()) == 2


@pytest.mark.parametrize("name", NAMES)
def test_ours_is_valid(name):
    done = subprocess.run(
        [binary(), "validate", "--config", configs.FOLDER / name], capture_output=True, text=True, stdin=subprocess.DEVNULL,
        env={"MLFLOW_DB_PASSWORD": "secret"},
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", configs.theirs(), ids=lambda path: path.name)
def test_the_collectors_is_valid(path):
    done = subprocess.run([collector.binary(), "validate", "--config", path], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr


def start(name: str, folder, env: dict) -> tuple[Process, Ports]:
    ports = Ports()
    moved = [part for key, port in LISTENERS.items() for part in ("--set", f"{key}=127.0.0.1:{getattr(ports, port)}")]
    process = Process("otel-mlflow", [binary(), "--config", configs.FOLDER / name, *moved], folder / "gateway.log", env=env, cwd=folder)
    process.wait_for(lambda: answers(f"http://127.0.0.1:{ports.admin}/readyz"), "answer to /readyz")
    return process, ports


def send(ports: Ports, service: str):
    body = trace_request(service=service).SerializeToString()
    status, _, said = http("POST", f"http://127.0.0.1:{ports.http}/v1/traces", body, {"content-type": "application/x-protobuf"})
    assert status == 200, said


def test_sqlite_runs(workspace):
    from mlflow import MlflowClient

    folder = workspace / "run-sqlite"
    folder.mkdir()
    process, ports = start("gateway-sqlite.yaml", folder, {"MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"})
    try:
        send(ports, "shop")
        assert len(traces_of(MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db"), "shop")) == 1
    finally:
        process.stop()


def test_postgresql_runs(workspace, postgres):
    from mlflow import MlflowClient

    folder = workspace / "run-postgresql"
    folder.mkdir()
    uri = postgres.database()
    env = {"MLFLOW_DB_USER": "mlflow", "MLFLOW_DB_PASSWORD": "e2e-secret", "MLFLOW_DB_PORT": str(postgres.port), "MLFLOW_DB_NAME": uri.rsplit("/", 1)[1]}
    process, ports = start("gateway-postgresql.yaml", folder, env)
    try:
        send(ports, "shop")
        assert len(traces_of(MlflowClient(tracking_uri=uri), "genai/shop")) == 1
    finally:
        process.stop()


def test_mlflow_server_runs(workspace):
    folder = workspace / "run-server"
    server = MlflowServer(folder, f"sqlite:///{folder}/mlflow.db")
    process = None
    try:
        process, ports = start("gateway-mlflow-server.yaml", folder, {"MLFLOW_TRACKING_URI": server.url})
        send(ports, "shop")
        assert len(traces_of(server.client(), "shop")) == 1
    finally:
        if process:
            process.stop()
        server.stop()


def test_fan_out_runs(workspace):
    """The other backend is a second gateway: it gets the same trace over gRPC."""
    from mlflow import MlflowClient

    folder, backend_folder = workspace / "run-fan-out", workspace / "run-backend"
    folder.mkdir()
    backend_ports = Ports()
    backend = Gateway(backend_folder, config(f"sqlite:///{backend_folder}/mlflow.db", backend_ports), backend_ports)
    env = {"MLFLOW_TRACKING_URI": "sqlite:///mlflow.db", "BACKEND_OTLP_ENDPOINT": f"http://{backend.grpc}"}
    process = None
    try:
        process, ports = start("gateway-fan-out.yaml", folder, env)
        send(ports, "shop")
        for where in (folder, backend_folder):
            assert len(traces_of(MlflowClient(tracking_uri=f"sqlite:///{where}/mlflow.db"), "shop")) == 1
    finally:
        if process:
            process.stop()
        backend.stop()


def test_without_a_configuration_it_writes_to_the_current_directory(workspace):
    """The built-in default has fixed ports: only --set moves them."""
    from mlflow import MlflowClient

    folder = workspace / "run-default"
    folder.mkdir()
    ports = Ports()
    moved = [part for key, port in LISTENERS.items() for part in ("--set", f"{key}=127.0.0.1:{getattr(ports, port)}")]
    process = Process("otel-mlflow", [binary(), *moved], folder / "gateway.log", cwd=folder)
    try:
        process.wait_for(lambda: answers(f"http://127.0.0.1:{ports.admin}/readyz"), "answer to /readyz")
        assert listens(ports.grpc)
        send(ports, "shop")
        assert len(traces_of(MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db"), "shop")) == 1
        assert "mlflow ui" in process.output() and str(ports.http) in process.output()
        assert process.terminate() == 0
    finally:
        process.stop()


def test_components_and_schema():
    def run(*arguments) -> str:
        done = subprocess.run([binary(), *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stderr
        return done.stdout

    listed = run("components")
    assert all(name in listed for name in ("otlp", "mlflow", "debug", "admin"))
    import json

    assert "exporters" in json.loads(run("schema"))["properties"]
