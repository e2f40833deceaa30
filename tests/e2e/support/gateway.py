"""The built `otel-mlflow` binary, run with a configuration on free ports."""

import os
import re
import sqlite3
import time
from pathlib import Path

import yaml

from .otlp import ids
from .process import Process, answers, free_port, http

ROOT = Path(__file__).resolve().parents[3]


def binary() -> Path:
    """The gateway to test: OTEL_MLFLOW_BIN, else the debug build."""
    named = os.environ.get("OTEL_MLFLOW_BIN")
    if named:
        return Path(named)
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    built = target / "debug" / "otel-mlflow"
    if not built.exists():
        raise AssertionError(f"{built} is missing: cargo build --features full, or set OTEL_MLFLOW_BIN")
    return built


class Ports:
    """The listeners of one gateway."""

    def __init__(self):
        self.grpc, self.http, self.admin = free_port(), free_port(), free_port()


def config(tracking_uri: str, ports: Ports, **exporter) -> dict:
    """The smallest full configuration: OTLP in, one `mlflow` exporter, admin."""
    return {
        "receivers": {"otlp": {"protocols": {
            "grpc": {"endpoint": f"127.0.0.1:{ports.grpc}"},
            "http": {"endpoint": f"127.0.0.1:{ports.http}"},
        }}},
        "exporters": {"mlflow": {"tracking_uri": tracking_uri, **exporter}},
        "extensions": {"admin": {"endpoint": f"127.0.0.1:{ports.admin}", "recovery_duration": "0s"}},
        "service": {
            "extensions": ["admin"],
            "pipelines": {"traces": {"receivers": ["otlp"], "processors": [], "exporters": ["mlflow"]}},
        },
    }


class Gateway:
    """A running gateway. Its configuration is a dict, written out as YAML; `prefix` is a command that starts it."""

    def __init__(self, folder: Path, settings: dict, ports: Ports, env: dict | None = None, ready: bool = True, prefix: list | None = None, **popen):
        folder.mkdir(parents=True, exist_ok=True)
        self.ports = ports
        self.file = folder / "gateway.yaml"
        self.file.write_text(yaml.safe_dump(settings, sort_keys=False))
        self.process = Process("otel-mlflow", [*(prefix or []), binary(), "--config", self.file], folder / "gateway.log", env=env, cwd=folder, **popen)
        if ready:
            self.process.wait_for(lambda: answers(self.admin("/readyz")), "answer to /readyz")

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self.ports.grpc}"

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.ports.http}"

    def admin(self, path: str) -> str:
        return f"http://127.0.0.1:{self.ports.admin}{path}"

    def post(self, body: bytes, headers: dict | None = None, timeout: float = 60):
        """Sends OTLP protobuf unless the headers say otherwise."""
        named = {"content-type": "application/x-protobuf", **(headers or {})}
        return http("POST", f"{self.http}/v1/traces", body, named, timeout)

    def terminate(self) -> int:
        return self.process.terminate()

    def stop(self):
        self.process.stop()


def sqlite_path(uri: str) -> str:
    """The file of an absolute `sqlite:////…` URI."""
    return re.sub(r"^sqlite:///", "", uri)


def query(uri: str, sql: str, parameters=()) -> list:
    """Rows of a tracking database; `?` marks a parameter in both dialects."""
    if uri.startswith("sqlite"):
        connection = sqlite3.connect(f"file:{sqlite_path(uri)}?mode=ro", uri=True, timeout=30)
        try:
            return connection.execute(sql, parameters).fetchall()
        finally:
            connection.close()
    import psycopg

    connection = psycopg.connect(uri)
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql.replace("?", "%s"), parameters)
            return cursor.fetchall()
    finally:
        connection.close()


def stored(uri: str, *requests, seconds: float = 60) -> int:
    """How many spans of the requests are in the database, once all are, or after the time: the queue is before it."""
    sent = set().union(*(ids(request) for request in requests))
    deadline = time.monotonic() + seconds
    while True:
        found = len(sent & {tuple(row) for row in query(uri, "SELECT trace_id, span_id FROM spans")})
        if found == len(sent) or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


UNQUEUED = {"enabled": False}
"""A `sending_queue` for tests of what follows it: senders are answered with what the destination answers."""


def queue_in(folder: Path) -> dict:
    """A `sending_queue` in a directory that another gateway can take over after this one."""
    return {"directory": str(folder)}
