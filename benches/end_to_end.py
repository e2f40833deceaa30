"""Spans per second end to end, against MLflow's own /v1/traces: same payload, same kind of database, same run.

Run by scripts/bench. Prints a table per database, then what the gateway costs in front of an MLflow server.
"""

import os
import tempfile
import time
from pathlib import Path
from statistics import median

from measure import Load, count, cpu_seconds, databases, discard, drain, memory_mib, parser
from mlflow import MlflowClient
from support.gateway import Gateway, Ports, config, query
from support.mlflow_server import MlflowServer, migrate


WARM_REQUESTS = 24
REST_REQUESTS = 24


def arguments():
    made = parser(__doc__, databases="sqlite,postgresql")
    made.add_argument("--seconds", type=float, default=15, help="length of MLflow's measurements")
    made.add_argument("--requests", type=int, default=240, help="how many requests the gateway gets in a measurement, which ends when its queue is empty")
    made.add_argument("--rounds", type=int, default=3, help="how often each is measured; the ratio is that of the medians")
    made.add_argument("--mlflow-workers", type=int, default=4, help="worker processes of MLflow's server; 4 is its default")
    made.add_argument("--skip-rest", action="store_true")
    made.add_argument("--without-queue", action="store_true", help="answer each request after its transaction, as MLflow does")
    made.add_argument("--queues", action="store_true", help="only compare the queues: fsynced, written, memory, none")
    return made.parse_args()


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


def send(load: Load, endpoint: str, requests: int, protocol: str = "http") -> dict:
    """A number of requests, as fast as they are taken. A length of time would give a fast queue many times the spans that the
    database writes meanwhile, and its file with them would be another one than MLflow's."""
    return load.run(endpoint, protocol, seconds=3600, more=["--requests", requests])


def measure_gateway(load: Load, folder: Path, uri: str, protocol: str, **exporter) -> tuple[dict, str]:
    """What is delivered counts: the time ends when the queue is empty."""
    ports = Ports()
    gateway = Gateway(folder, config(uri, ports, **exporter), ports)
    try:
        idle = memory_mib(gateway.process.pid, "VmRSS")
        send(load, gateway.http, WARM_REQUESTS)
        drain(gateway)
        before = count(uri)
        cpu, started = cpu_seconds(gateway.process.pid), time.monotonic()
        result = send(load, f"http://{gateway.grpc}" if protocol == "grpc" else gateway.http, load.options.requests, protocol)
        result["seconds"] = drain(gateway) - started
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


def compare(kind: str, load: Load, folder: Path, database):
    """Rounds of MLflow and otel-mlflow in turn, so that a noisy moment of the machine meets one figure of several."""
    print(f"\n{kind}", flush=True)
    rates: dict[str, list[float]] = {"mlflow": [], "http": [], "grpc": []}
    for number in range(load.options.rounds):
        uri = database()
        baseline = measure_mlflow(load, folder / f"mlflow-{number}", uri)
        discard(uri)
        line("MLflow's own /v1/traces", baseline, f"{load.options.mlflow_workers} workers, {baseline['retries']} retries")
        rates["mlflow"].append(baseline["spans_per_second"])
        for protocol in ("http", "grpc"):
            uri = database()
            queue = {"sending_queue": {"enabled": False}} if load.options.without_queue else {}
            result, more = measure_gateway(load, folder / f"gateway-{protocol}-{number}", uri, protocol, **queue)
            bytes_per_row = query(uri, "SELECT avg(length(content)) FROM spans")[0][0]
            discard(uri)
            line(f"otel-mlflow, {protocol}", result, f"{more}   rows of {bytes_per_row:,.0f} bytes")
            rates[protocol].append(result["spans_per_second"])
    middle = {name: median(values) for name, values in rates.items()}
    print(f"  medians: MLflow {middle['mlflow']:,.0f} spans/s", flush=True)
    for protocol in ("http", "grpc"):
        print(f"  otel-mlflow, {protocol} {middle[protocol]:,.0f} spans/s: {middle[protocol] / middle['mlflow']:.1f} times MLflow", flush=True)


def rest_overhead(load: Load, folder: Path):
    """A number of requests, to the end of the queue: both must have worked on the same spans."""
    print("\nin front of an MLflow server (SQLite)", flush=True)
    uri = f"sqlite:///{folder}/mlflow.db"
    migrate(uri)
    server = MlflowServer(folder, uri, workers=load.options.mlflow_workers)
    try:
        ports = Ports()
        gateway = Gateway(folder / "gateway", config(server.url, ports), ports)
        try:
            load.warm(server.url, {"x-mlflow-experiment-id": "0"})
            ours, theirs = cpu_seconds(gateway.process.pid), cpu_seconds(server.process.pid)
            started = time.monotonic()
            result = send(load, gateway.http, REST_REQUESTS)
            result["spans_per_second"] = result["accepted_spans"] / (drain(gateway, every=1) - started)
            ours, theirs = cpu_seconds(gateway.process.pid) - ours, cpu_seconds(server.process.pid) - theirs
            line("otel-mlflow, REST", result, f"CPU: gateway {ours:.2f} s, server {theirs:.2f} s, {100 * ours / theirs:.1f} %")
        finally:
            gateway.stop()
    finally:
        server.stop()


def main():
    options = arguments()
    load = Load(options)
    print(f"{os.cpu_count()} CPUs; 4-span traces, two 400-byte messages a span, {options.traces} traces a request, {options.connections} connections; MLflow {options.seconds:g} s, otel-mlflow {options.requests * options.traces * 4:,} spans")
    with tempfile.TemporaryDirectory(prefix="otel-mlflow-bench-") as name:
        folder = Path(name)
        compared = compare_queues if options.queues else compare
        for kind in options.databases.split(","):
            with databases(kind, folder / kind) as database:
                compared(kind, load, folder / kind, database)
        if not options.skip_rest and not options.queues:
            (folder / "rest").mkdir()
            rest_overhead(load, folder / "rest")


if __name__ == "__main__":
    main()
