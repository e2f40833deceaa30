"""The official OpenTelemetry Collector, built by scripts/setup."""

import os
from pathlib import Path

from .process import Process, listens


def binary() -> Path:
    """Path of the Collector; scripts/setup builds it and names it in OTELCOL_BIN."""
    named = os.environ.get("OTELCOL_BIN")
    if not named or not Path(named).exists():
        raise AssertionError("no Collector: run scripts/test, or set OTELCOL_BIN to an otelcol with otlp in and out")
    return Path(named)


class Collector:
    """A running Collector."""

    def __init__(self, folder: Path, config: Path, ports: list[int], env: dict | None = None):
        folder.mkdir(parents=True, exist_ok=True)
        self.process = Process("otelcol", [binary(), "--config", config], folder / "otelcol.log", env=env, cwd=folder)
        for port in ports:
            self.process.wait_for(lambda port=port: listens(port), f"listener on port {port}")

    def stop(self):
        self.process.stop()
