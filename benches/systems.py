"""What scripts/bench-overload compares: `otel-mlflow`, and the official Collector in front of an `otel-mlflow` that has
no queue. Both keep what they accept in a queue on disk of the same size, synced before they answer."""

import shutil
import time
from pathlib import Path

import yaml
from measure import SENT, drain, metrics, samples
from support.collector import Collector
from support.gateway import Gateway, Ports, config
from support.process import free_port

DRAIN_SECONDS = 900
QUIET_SECONDS = 15


def sent(gateway: Gateway) -> float:
    """Spans that the gateway says it has written."""
    return sum(samples(metrics(gateway.admin("/metrics")), SENT))


class Ours:
    """`otel-mlflow` with its queue."""

    name = "otel-mlflow"

    def __init__(self, folder: Path, uri: str, queue_mib: int):
        ports = Ports()
        self.folder = folder
        self.gateway = Gateway(folder, config(uri, ports, sending_queue={"queue_size": f"{queue_mib}MiB"}), ports)
        self.endpoint = self.gateway.http
        self.watched = self.gateway.process

    def drain(self) -> float:
        """Waits until everything is delivered; gives the time when it was."""
        return drain(self.gateway)

    def stop(self):
        self.gateway.stop()
        shutil.rmtree(self.folder)


class Official:
    """The Collector with its persistent queue, in front of a gateway without one."""

    name = "Collector"

    def __init__(self, folder: Path, uri: str, queue_mib: int):
        ports = Ports()
        self.folder = folder
        self.gateway = Gateway(folder, config(uri, ports, sending_queue={"enabled": False}), ports)
        http, self.telemetry = free_port(), free_port()
        file = folder / "otelcol.yaml"
        file.write_text(yaml.safe_dump(self.settings(http, queue_mib), sort_keys=False))
        try:
            self.collector = Collector(folder, file, [http, self.telemetry])
        except AssertionError:
            self.gateway.stop()
            raise
        self.endpoint = f"http://127.0.0.1:{http}"
        self.watched = self.collector.process

    def settings(self, port: int, queue_mib: int) -> dict:
        """As its documentation has it for durability: no batch processor, which keeps in memory what is answered for;
        `fsync`; retries without an end. Compaction gives disk space back and makes nothing safer, so it stays off."""
        queue = {"enabled": True, "storage": "file_storage", "sizer": "bytes", "queue_size": queue_mib << 20, "block_on_overflow": False}
        reader = {"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": self.telemetry}}}}
        return {
            "extensions": {"file_storage": {"directory": str(self.folder / "otelcol-queue"), "create_directory": True, "fsync": True}},
            "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}},
            "exporters": {"otlp_http": {
                # On one machine compression would only cost it CPU.
                "endpoint": self.gateway.http, "compression": "none", "timeout": "30s",
                "retry_on_failure": {"enabled": True, "initial_interval": "1s", "max_elapsed_time": "0s"}, "sending_queue": queue,
            }},
            "service": {
                "extensions": ["file_storage"],
                "telemetry": {"metrics": {"level": "basic", "readers": [reader]}, "logs": {"level": "error"}},
                "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["otlp_http"]}},
            },
        }

    def drain(self) -> float:
        """Its queue counts no request that a consumer has: what is behind it has to be quiet as well."""
        started = since = time.monotonic()
        before = None
        while time.monotonic() - since < QUIET_SECONDS and time.monotonic() - started < DRAIN_SECONDS:
            now = (sent(self.gateway), samples(metrics(f"http://127.0.0.1:{self.telemetry}/metrics"), "otelcol_exporter_queue_size"))
            if now != before or any(now[1]):
                before, since = now, time.monotonic()
            time.sleep(0.2)
        return since

    def stop(self):
        self.collector.stop()
        self.gateway.stop()
        shutil.rmtree(self.folder)
