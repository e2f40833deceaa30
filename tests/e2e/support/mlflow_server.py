"""Real MLflow: a server, a database made by MLflow's own migrations, and its Python client."""

import sys
import time
from pathlib import Path

from mlflow import MlflowClient

from .process import Process, answers, free_port

MLFLOW = Path(sys.executable).with_name("mlflow")


class MlflowServer:
    """`mlflow server` on a free port; also serves the UI."""

    def __init__(self, folder: Path, backend_uri: str, workers: int = 1, program: Path = MLFLOW, artifacts: list | None = None):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.backend_uri = folder, backend_uri
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.command = [program, "server", "--backend-store-uri", backend_uri, "--port", self.port, "--workers", workers,
                        *(artifacts or ["--artifacts-destination", folder / "artifacts"])]
        self.restart()

    def restart(self):
        """Starts the server, again after `process.stop()`, on the same port."""
        self.process = Process(
            "mlflow server", self.command, self.folder / "mlflow-server.log",
            # Background jobs of the server evaluate prompts and the like; nothing here needs them.
            env={"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"},
            cwd=self.folder,
        )
        self.process.wait_for(lambda: answers(f"{self.url}/health"), "answer to /health")

    def client(self) -> MlflowClient:
        return MlflowClient(tracking_uri=self.url)

    def stop(self):
        self.process.stop()


def migrate(uri: str):
    """Makes MLflow create its schema in an empty database."""
    MlflowClient(tracking_uri=uri).search_experiments(max_results=1)


def traces_of(client: MlflowClient, experiment: str, count: int = 1, seconds: float = 60) -> list:
    """The traces of an experiment with their spans, once there are `count` of them."""
    deadline = time.monotonic() + seconds
    traces = []
    while time.monotonic() < deadline:
        found = client.get_experiment_by_name(experiment)
        if found is not None:
            traces = client.search_traces(locations=[found.experiment_id], max_results=200)
            if len(traces) >= count:
                return traces
        time.sleep(0.2)
    raise AssertionError(f"experiment {experiment!r} has {len(traces)} of {count} traces after {seconds} s")
