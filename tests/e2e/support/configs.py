"""The configurations of collector-config/, run as they are; only environment variables tell them the ports."""

from pathlib import Path

from .collector import Collector
from .gateway import ROOT, Gateway
from .process import free_port

FOLDER = ROOT / "collector-config"


def ours() -> list[Path]:
    """Configurations of otel-mlflow."""
    return sorted(FOLDER.glob("gateway-*.yaml"))


def theirs() -> list[Path]:
    """Configurations of the official Collector."""
    return sorted(FOLDER.glob("otelcol-*.yaml"))


def collector_config(gateway: Gateway, protocol: str, folder: Path) -> Collector:
    """Starts the Collector in front of a gateway; `.grpc` and `.http` say where to send."""
    grpc, http = free_port(), free_port()
    env = {
        "OTEL_MLFLOW_ENDPOINT": gateway.grpc if protocol == "grpc" else gateway.http,
        "OTELCOL_GRPC_ENDPOINT": f"127.0.0.1:{grpc}",
        "OTELCOL_HTTP_ENDPOINT": f"127.0.0.1:{http}",
    }
    collector = Collector(folder, FOLDER / f"otelcol-to-otel-mlflow-{protocol}.yaml", [grpc, http], env)
    collector.grpc, collector.http = f"127.0.0.1:{grpc}", f"http://127.0.0.1:{http}"
    return collector
