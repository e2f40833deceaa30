"""100,000 metrics of one run, from the first call to the last row in MLflow: Rust against MLflow's own client, same server.

  cargo build --release --features full --example run_logging
  EXAMPLES_DIR=target/release/examples python benches/track.py

Python logs in the three ways that it has: in batches of 1,000 by hand, asynchronously, and one by one (of which a
share is measured). All values are read back and counted.
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

import mlflow  # noqa: E402
from mlflow.entities import Metric  # noqa: E402
from support.gateway import query  # noqa: E402
from support.mlflow_server import MlflowServer  # noqa: E402

JOB = Path(os.environ.get("EXAMPLES_DIR", ROOT / "target" / "release" / "examples")) / "run_logging"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--metrics", type=int, default=100_000)
    parser.add_argument("--one-by-one", type=int, default=1_000, help="how many Python logs one by one")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--mlflow-workers", type=int, default=4)
    return parser.parse_args()


def rust(url: str, count: int, folder: Path) -> tuple[float, float, str]:
    """Seconds until all is in MLflow, seconds of the loop itself, the run."""
    env = {**os.environ, "MLFLOW_TRACKING_URI": url, "OTEL_MLFLOW_SPOOL_DIR": str(folder / "spool"), "RUST_LOG": "warn"}
    with subprocess.Popen([JOB], env=env, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as job:
        def tell(*command):
            job.stdin.write(json.dumps(command) + "\n")
            job.stdin.flush()
            return json.loads(job.stdout.readline())["ok"]

        run_id = tell("start", "rust")
        begun = time.perf_counter()
        loop = tell("metrics", "loss", count)
        outcome = tell("finish")
        seconds = time.perf_counter() - begun
        job.stdin.close()
    if outcome["delivered"] != count:
        raise SystemExit(f"not everything arrived: {outcome}")
    return seconds, loop, run_id


def batches(client, run_id: str, count: int) -> float:
    begun = time.perf_counter()
    for first in range(0, count, 1000):
        now = int(time.time() * 1000)
        client.log_batch(run_id, metrics=[Metric("loss", step / 4, now, step) for step in range(first, min(first + 1000, count))])
    return time.perf_counter() - begun


def asynchronous(client, run_id: str, count: int) -> float:
    begun = time.perf_counter()
    for step in range(count):
        client.log_metric(run_id, "loss", step / 4, step=step, synchronous=False)
    mlflow.flush_async_logging()
    return time.perf_counter() - begun


def one_by_one(client, run_id: str, count: int) -> float:
    begun = time.perf_counter()
    for step in range(count):
        client.log_metric(run_id, "loss", step / 4, step=step)
    return time.perf_counter() - begun


def check(uri: str, run_id: str, count: int):
    stored = query(uri, "SELECT count(*), sum(value) FROM metrics WHERE run_uuid = ?", (run_id,))[0]
    if tuple(stored) != (count, count * (count - 1) / 8):
        raise SystemExit(f"{count} metrics were logged, in the database are {stored}")


def main():
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="otel-mlflow-track-") as name:
        folder = Path(name)
        uri = f"sqlite:///{folder / 'mlflow.db'}"
        server = MlflowServer(folder / "server", uri, workers=options.mlflow_workers)
        try:
            mlflow.set_tracking_uri(server.url)
            client = server.client()
            ways = {"log_batch of 1,000": (batches, options.metrics), "asynchronous": (asynchronous, options.metrics), "one by one": (one_by_one, options.one_by_one)}
            best = {}
            for _ in range(options.rounds):
                seconds, loop, run_id = rust(server.url, options.metrics, folder)
                check(uri, run_id, options.metrics)
                print(f"  Rust: {seconds:.2f} s", flush=True)
                best["rust"] = min(best.get("rust", seconds), seconds)
                best["loop"] = min(best.get("loop", loop), loop)
                for way, (log, count) in ways.items():
                    run_id = client.create_run("0").info.run_id
                    seconds = log(client, run_id, count)
                    check(uri, run_id, count)
                    seconds *= options.metrics / count
                    print(f"  Python, {way}: {seconds:.2f} s, {seconds / best['rust']:.1f} times", flush=True)
                    best[way] = min(best.get(way, seconds), seconds)
        finally:
            server.stop()
    print(f"{os.cpu_count()} CPUs, {options.metrics:,} metrics, best of {options.rounds}, MLflow {mlflow.__version__} on SQLite with {options.mlflow_workers} workers")
    print(f"  {'Rust, log_metric':<28} {best['rust']:>8.2f} s   the loop itself {1e9 * best['loop'] / options.metrics:,.0f} ns a call")
    for way in ways:
        print(f"  {'Python, ' + way:<28} {best[way]:>8.2f} s   {best[way] / best['rust']:,.1f} times Rust's time")


if __name__ == "__main__":
    main()
