"""What the measurements share: the load generator, CPU and memory of processes, databases, when a queue is empty."""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from support.gateway import Gateway, query, sqlite_path  # noqa: E402
from support.postgres import Postgres  # noqa: E402
from support.process import http  # noqa: E402

ACCEPTED = "otel_mlflow_receiver_accepted_spans_total"
SENT = "otel_mlflow_exporter_sent_spans_total"
STUCK_SECONDS = 300
TICKS = os.sysconf("SC_CLK_TCK")


def parser(doc: str, databases: str) -> argparse.ArgumentParser:
    """The arguments of every measurement."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--load", required=True, help="the load generator")
    made.add_argument("--databases", default=databases)
    made.add_argument("--connections", type=int, default=8)
    made.add_argument("--traces", type=int, default=128, help="traces per request, of 4 spans each; SDKs send up to 512 spans")
    return made


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

    def run(self, endpoint: str, protocol: str = "http", headers: dict | None = None, seconds: float | None = None, connections: int | None = None, more=()) -> dict:
        command = [
            self.options.load, endpoint, "--protocol", protocol, "--connections", connections or self.options.connections,
            "--traces", self.options.traces, "--seconds", seconds or self.options.seconds, *more,
        ]
        for name, value in (headers or {}).items():
            command += ["--header", f"{name}: {value}"]
        done = subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
        return json.loads(done.stdout)

    def warm(self, endpoint: str, headers: dict | None = None):
        self.run(endpoint, headers=headers, seconds=2)


def samples(text: str, name: str) -> list[float]:
    """The values of a metric in the Prometheus text format, one for each set of labels."""
    return [float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith((name + "{", name + " "))]


def metrics(url: str) -> str:
    return http("GET", url)[2].decode()


def drain(gateway: Gateway, every: float = 0.1) -> float:
    """Waits until each exporter has sent all that was accepted, and gives the time when it was first seen so. Each look,
    every so many seconds, costs the gateway CPU, too."""
    last, since = [], time.monotonic()
    while True:
        text, now = metrics(gateway.admin("/metrics")), time.monotonic()
        accepted, sent = sum(samples(text, ACCEPTED)), samples(text, SENT)
        if min(sent, default=0) >= accepted:
            return now
        if sent != last:
            last, since = sent, now
        if now - since > STUCK_SECONDS:
            raise SystemExit(f"accepted {accepted:,.0f} spans, sent {sent}, and nothing more for {STUCK_SECONDS} s")
        time.sleep(every)


def count(uri: str) -> int:
    return query(uri, "SELECT count(*) FROM spans")[0][0]


@contextmanager
def databases(kind: str, folder: Path) -> Iterator[Callable[[], str]]:
    """What makes empty databases of a kind, each call another one."""
    folder.mkdir()
    if kind == "postgresql":
        server = Postgres(folder / "postgres.log")
        try:
            yield server.database
        finally:
            server.stop()
    else:
        numbers = iter(range(99))
        yield lambda: f"sqlite:///{folder}/{next(numbers)}.db"


def discard(uri: str):
    """Deletes a database that nobody has open, for its disk space."""
    if uri.startswith("sqlite"):
        for suffix in ("", "-wal", "-shm"):
            Path(sqlite_path(uri) + suffix).unlink(missing_ok=True)
        return
    import psycopg

    server, name = uri.rsplit("/", 1)
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
