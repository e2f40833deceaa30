"""Fixtures: everything real, except OpenAI. Everything listens on free ports of 127.0.0.1 and ends with the run."""

import itertools
import os
import sys
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import fluent

sys.path.insert(0, str(Path(__file__).parent))

from support.collector import Collector  # noqa: E402
from support.configs import collector_config  # noqa: E402
from support.fake_openai import FakeOpenAi  # noqa: E402
from support.gateway import Gateway, Ports, config  # noqa: E402
from support.mlflow_server import MlflowServer  # noqa: E402
from support.postgres import Postgres  # noqa: E402
from support.proxy import Proxy  # noqa: E402

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def own_mlflow():
    """What MLflow's client remembers for the process, or puts into its environment, is for one test: servers differ."""
    yield
    mlflow.clear_active_model()
    fluent._active_experiment_id = None
    for name in ("MLFLOW_EXPERIMENT_ID", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        os.environ.pop(name, None)


@pytest.fixture(scope="session")
def workspace(tmp_path_factory) -> Path:
    """A folder for the files of the run; pytest keeps the last three runs for a look at the logs."""
    return tmp_path_factory.mktemp("e2e")


@pytest.fixture(scope="session")
def openai_endpoint():
    endpoint = FakeOpenAi()
    yield endpoint.url
    endpoint.stop()


@pytest.fixture(scope="session")
def postgres(workspace):
    cluster = Postgres(workspace / "postgres.log")
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def mlflow_server(workspace):
    """MLflow's server for tests that do not stop it; its database is `.backend_uri`."""
    one = MlflowServer(workspace / "server", f"sqlite:///{workspace / 'server.db'}")
    yield one
    one.stop()


@pytest.fixture
def proxy(mlflow_server):
    """Stands before `mlflow_server`, and misbehaves when told to."""
    one = Proxy(mlflow_server.port)
    yield one
    one.stop()


@pytest.fixture
def empty_database(workspace, request):
    """Makes the tracking URI of a database without tables: `empty_database("sqlite")`, `("postgresql")`."""

    def make(kind: str) -> str:
        return new_database(kind, workspace, request)

    return make


def new_database(kind: str, folder: Path, request) -> str:
    if kind == "sqlite":
        return f"sqlite:///{folder / f'mlflow-{next(_numbers)}.db'}"
    return request.getfixturevalue("postgres").database()


@pytest.fixture
def gateway(workspace):
    """Starts gateways: `gateway(tracking_uri, compat="strict", …)`; more keys go to the `mlflow` exporter."""
    started = []

    def start(tracking_uri: str, settings: dict | None = None, ports: Ports | None = None, env=None, ready=True, popen=None, **exporter) -> Gateway:
        ports = ports or Ports()
        settings = settings or config(tracking_uri, ports, **exporter)
        one = Gateway(workspace / f"gateway-{next(_numbers)}", settings, ports, env=env, ready=ready, **(popen or {}))
        started.append(one)
        return one

    yield start
    for one in started:
        one.stop()


class Destination:
    """Where traces end up, with the gateway in front of it."""

    def __init__(self, kind: str, gateway: Gateway, read_uri: str, server: MlflowServer | None):
        from mlflow import MlflowClient

        self.kind = kind
        self.gateway = gateway
        self.read_uri = read_uri
        self.server = server
        self.client = MlflowClient(tracking_uri=read_uri)

    def stop(self):
        self.gateway.stop()
        if self.server:
            self.server.stop()


@pytest.fixture(scope="session")
def destinations(workspace, request):
    """One gateway per kind of store, started when first asked for: `destinations("sqlite")`."""
    made: dict[str, Destination] = {}

    def get(kind: str) -> Destination:
        if kind not in made:
            made[kind] = start_destination(kind, workspace / kind, request)
        return made[kind]

    yield get
    for one in made.values():
        one.stop()


def start_destination(kind: str, folder: Path, request) -> Destination:
    folder.mkdir(parents=True)
    ports, server = Ports(), None
    uri = new_database("postgresql" if kind == "postgresql" else "sqlite", folder, request)
    if kind == "rest":
        server = MlflowServer(folder, uri)
        uri = server.url
    routing = {"from": ["resource.service.name"], "create": True}
    return Destination(kind, Gateway(folder, config(uri, ports, experiment=routing), ports), uri, server)


@pytest.fixture(scope="session")
def collectors(workspace, destinations):
    """One Collector per destination and protocol towards the gateway, from collector-config/."""
    made: dict[tuple[str, str], Collector] = {}

    def get(kind: str, protocol: str) -> Collector:
        if (kind, protocol) not in made:
            made[kind, protocol] = collector_config(destinations(kind).gateway, protocol, workspace / f"otelcol-{kind}-{protocol}")
        return made[kind, protocol]

    yield get
    for one in made.values():
        one.stop()
