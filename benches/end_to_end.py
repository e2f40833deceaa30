"""Spans per second end to end, against MLflow's own /v1/traces: same payload, same kind of database, same run.

Run by scripts/bench. Prints a table per database, then what the gateway costs in front of an MLflow server.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from mlflow import MlflowClient  # noqa: E402
from support.gateway import Gateway, Ports, config, query  # noqa: E402
from support.mlflow_server import MlflowServer, migrate  # noqa: E402
from support.postgres import Postgres  # noqa: E402
from support.process import http  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--load", required=True, help="the load generator")
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--seconds", type=float, default=15, help="length of each measurement")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--traces", type=int, default=128, help="traces per request, of 4 spans each; SDKs send up to 512 spans")
    parser.add_argument("--mlflow-workers", type=int, default=4, help="worker processes of MLflow's server; 4 is its default")
    parser.add_argument("--skip-rest", action="store_true")
    parser.add_argument("--queues", action="store_true", help="only compare the queues: fsynced, written, memory, none")
    return parser.parse_args()


def group(pid: int) -> list[int]:
    """The process and all of its descendants."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parents[int(entry)] = int(Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                pass
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def cpu_seconds(pid: int) -> float:
    total = 0
    for one in group(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        except OSError:
            pass
    return total / TICKS


def memory_mib(pid: int, field: str) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith(field + ":"))


class Load:
    """Runs of the load generator, all with the same payload."""

    def __init__(self, options):
        self.options = options

    def run(self, endpoint: str, protocol: str = "http", headers: dict | None = None, seconds: float | None = None) -> dict:
        command = [
            self.options.load, endpoint, "--protocol", protocol, "--connections", self.options.connections,
            "--traces", self.options.traces, "--seconds", seconds or self.options.seconds,
        ]
        for name, value in (headers or {}).items():
            command += ["--header", f"{name}: {value}"]
        done = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        return json.loads(done.stdout)

    def warm(self, endpoint: str, headers: dict | None = None):
        self.run(endpoint, headers=headers, seconds=2)


def line(name: str, result: dict, more: str = ""):
    print(f"  {name:<28} {result['spans_per_second']:>9,.0f} spans/s   p50 {result['p50_ms']:>7.1f} ms   p99 {result['p99_ms']:>7.1f} ms   {more}", flush=True)


def measure_mlflow(load: Load, folder: Path, uri: str) -> dict:
    migrate(uri)
    experiment = MlflowClient(tracking_uri=uri).create_experiment("bench")
    server = MlflowServer(folder, uri, workers=load.options.mlflow_workers)
    try:
        headers = {"x-mlflow-experiment-id": experiment}
        load.warm(server.url, headers)
        return load.run(server.url, headers=headers)
    finally:
        server.stop()


def measure_gateway(load: Load, folder: Path, uri: str, protocol: str, **exporter) -> tuple[dict, str]:
    """What is delivered counts: the time ends when the queue is empty."""
    ports = Ports()
    gateway = Gateway(folder, config(uri, ports, **exporter), ports)
    try:
        idle = memory_mib(gateway.process.pid, "VmRSS")
        load.warm(gateway.http)
        drain(gateway)
        before = count(uri)
        cpu, started = cpu_seconds(gateway.process.pid), time.monotonic()
        result = load.run(f"http://{gateway.grpc}" if protocol == "grpc" else gateway.http, protocol)
        drain(gateway)
        result["seconds"] = time.monotonic() - started
        result["spans_per_second"] = result["accepted_spans"] / result["seconds"]
        used = cpu_seconds(gateway.process.pid) - cpu
        peak = memory_mib(gateway.process.pid, "VmHWM")
        stored = count(uri) - before
        if stored != result["accepted_spans"]:
            raise SystemExit(f"accepted {result['accepted_spans']} spans, stored {stored}")
        share = 100 * used / result["seconds"]
        return result, f"CPU {share:.0f} %, {1e6 * used / stored:.0f} us/span   RSS idle {idle:.0f} MiB, peak {peak:.0f} MiB"
    finally:
        gateway.stop()


def drain(gateway: Gateway):
    """Waits until the queue is empty. Its figures are a second old at most, so it has to be empty for longer."""
    empty = 0
    while empty < 12:
        text = http("GET", gateway.admin("/metrics"))[2].decode()
        sizes = [line for line in text.splitlines() if line.startswith("otel_mlflow_exporter_queue_requests{")]
        empty = empty + 1 if all(line.endswith(" 0") for line in sizes) else 0
        if not sizes:
            return
        time.sleep(0.1)


QUEUES = {
    "disk, fsynced": {"ack": "fsynced"}, "disk, written": {"ack": "written"}, "memory": {"storage": "memory"}, "no queue": {"enabled": False},
}


def compare_queues(kind: str, load: Load, folder: Path, database):
    print(f"\n{kind}: queues", flush=True)
    rates = {}
    for number, (name, queue) in enumerate(QUEUES.items()):
        result, more = measure_gateway(load, folder / f"queue-{number}", database(), "http", sending_queue=queue)
        rates[name] = result["spans_per_second"]
        line(name, result, more)
    print(f"  fsynced / memory = {rates['disk, fsynced'] / rates['memory']:.2f}", flush=True)


def count(uri: str) -> int:
    return query(uri, "SELECT count(*) FROM spans")[0][0]


def compare(kind: str, load: Load, folder: Path, database):
    print(f"\n{kind}", flush=True)
    baseline = measure_mlflow(load, folder / "mlflow", database())
    line("MLflow's own /v1/traces", baseline, f"{load.options.mlflow_workers} workers, {baseline['retries']} retries")
    for protocol in ("http", "grpc"):
        uri = database()
        result, more = measure_gateway(load, folder / f"gateway-{protocol}", uri, protocol)
        line(f"otel-mlflow, {protocol}", result, more)
        ratio = result["spans_per_second"] / baseline["spans_per_second"]
        bytes_per_row = query(uri, "SELECT avg(length(content)) FROM spans")[0][0]
        print(f"  {'':<28} {ratio:>9.1f} times MLflow; rows of {bytes_per_row:,.0f} bytes", flush=True)


def rest_overhead(load: Load, folder: Path):
    print("\nin front of an MLflow server (SQLite)", flush=True)
    uri = f"sqlite:///{folder}/mlflow.db"
    migrate(uri)
    server = MlflowServer(folder, uri, workers=load.options.mlflow_workers)
    try:
        ports = Ports()
        gateway = Gateway(folder / "gateway", config(server.url, ports), ports)
        try:
            load.warm(gateway.http)
            ours, theirs = cpu_seconds(gateway.process.pid), cpu_seconds(server.process.pid)
            result = load.run(gateway.http)
            ours, theirs = cpu_seconds(gateway.process.pid) - ours, cpu_seconds(server.process.pid) - theirs
            line("otel-mlflow, REST", result, f"CPU: gateway {ours:.2f} s, server {theirs:.2f} s, {100 * ours / theirs:.1f} %")
        finally:
            gateway.stop()
    finally:
        server.stop()


def main():
    options = arguments()
    load = Load(options)
    print(f"{os.cpu_count()} CPUs; 4-span traces, two 400-byte messages a span, {options.traces} traces a request, {options.connections} connections, {options.seconds:g} s each")
    with tempfile.TemporaryDirectory(prefix="otel-mlflow-bench-") as name:
        folder = Path(name)
        compared = compare_queues if options.queues else compare
        for kind in options.databases.split(","):
            (folder / kind).mkdir()
            if kind == "postgresql":
                server = Postgres(folder / "postgres.log")
                try:
                    compared(kind, load, folder / kind, server.database)
                finally:
                    server.stop()
            else:
                numbers = iter(range(99))
                compared(kind, load, folder / kind, lambda: f"sqlite:///{folder}/{kind}/{next(numbers)}.db")
        if not options.skip_rest and not options.queues:
            (folder / "rest").mkdir()
            rest_overhead(load, folder / "rest")


if __name__ == "__main__":
    main()
