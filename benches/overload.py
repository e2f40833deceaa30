"""Ten times the rate that can be written: memory, what is still written, and whether anything accepted is lost.

Run by scripts/bench-overload, for `otel-mlflow` and for the official Collector with its persistent queue, in one run.
First the most that each writes from senders that wait when told, then the overload, each into an empty database.
"""

import os
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from measure import Load, count, cpu_seconds, databases, discard, memory_mib, parser
from systems import Official, Ours, sent

# A row, its indexes, and room for the log of the database.
BYTES_PER_SPAN = 5000
SLICES = 5
GZIP = ["--compression", "gzip"]


def arguments():
    made = parser(__doc__, databases="sqlite")
    made.add_argument("--minutes", type=float, default=10, help="length of the overload")
    made.add_argument("--unloaded-minutes", type=float, help="length of the measurement of the maximum; default: as --minutes, for a database of the same size")
    made.add_argument("--overload-connections", type=int, default=64)
    made.add_argument("--times", type=float, default=10, help="what is offered, in multiples of what otel-mlflow can write")
    made.add_argument("--queue-mib", type=int, default=256, help="size of the queue on disk, for both")
    made.add_argument("--systems", default="otel-mlflow,Collector")
    made.add_argument("--folder", help="where databases and queues are put; default: the system's folder for temporary files")
    return made.parse_args()


class Watch:
    """Memory of a process and what has been written, looked at each second."""

    def __init__(self, system):
        self.system = system
        self.pid = system.watched.pid
        self.rss, self.anonymous, self.written = 0.0, 0.0, []
        self.cpu, self.started = cpu_seconds(self.pid), time.monotonic()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.look)
        self.thread.start()

    def look(self):
        while True:
            self.rss = max(self.rss, memory_mib(self.pid, "VmRSS"))
            self.anonymous = max(self.anonymous, memory_mib(self.pid, "RssAnon"))
            self.written.append((time.monotonic(), sent(self.system.gateway)))
            if self.ended.wait(1):
                return

    def stop(self) -> float:
        """Ends it; gives the share of a core that the process used."""
        share = (cpu_seconds(self.pid) - self.cpu) / (time.monotonic() - self.started)
        self.ended.set()
        self.thread.join()
        return share

    def rates(self) -> list[float]:
        """Spans written per second, in each part of the time."""
        last = len(self.written) - 1
        marks = [self.written[last * part // SLICES] for part in range(SLICES + 1)]
        return [(after[1] - before[1]) / (after[0] - before[0]) for before, after in zip(marks, marks[1:]) if after[0] > before[0]]


def started(kind_of, folder: Path, uri: str, options, load: Load):
    """A running system that has written something, and what is in its database."""
    system = kind_of(folder, uri, options.queue_mib)
    try:
        warm = load.run(system.endpoint, seconds=2, more=GZIP)
        system.drain()
        if count(uri) != warm["accepted_spans"]:
            raise SystemExit(f"{system.name}: accepted {warm['accepted_spans']} spans before anything was measured, stored {count(uri)}")
        return system, warm["accepted_spans"]
    except BaseException:
        system.stop()
        raise


def unloaded(kind_of, folder: Path, uri: str, options, load: Load) -> tuple[float, int]:
    """The most that the system writes, from the first request until the queue is empty; and accepted spans that are missing."""
    system, before = started(kind_of, folder, uri, options, load)
    try:
        begun = time.monotonic()
        result = load.run(system.endpoint, seconds=60 * options.unloaded_minutes, more=GZIP)
        ended = system.drain()
        written = count(uri) - before
        rate = written / (ended - begun)
        print(f"  {system.name}, unloaded: {rate:,.0f} spans/s; accepted {result['accepted_spans']:,} spans, stored {written:,}; "
              f"{result['retries']} refusals waited for, p50 {result['p50_ms']:.0f} ms, p99 {result['p99_ms']:.0f} ms", flush=True)
        return rate, max(0, result["accepted_spans"] - written)
    finally:
        system.stop()


def overload(kind_of, folder: Path, uri: str, options, load: Load, rate: float) -> dict:
    system, before = started(kind_of, folder, uri, options, load)
    try:
        watch, own = Watch(system), generator_seconds()
        try:
            result = load.run(system.endpoint, seconds=60 * options.minutes, connections=options.overload_connections, more=["--rate", rate, *GZIP])
            ended = time.monotonic()
        finally:
            cores = watch.stop()
        in_time = count(uri) - before
        peak = memory_mib(watch.pid, "VmHWM")
        drained = system.drain() - ended
        stored = count(uri) - before
        result |= {
            "goodput": in_time / (ended - watch.started), "rss": watch.rss, "anonymous": watch.anonymous,
            "lost": max(0, result["accepted_spans"] - stored),
        }
        own = (generator_seconds() - own) / result["seconds"]
        refused = ", ".join(f"{many:,} with {status}" for status, many in result["refused"].items()) or "none"
        print(f"  {system.name}, overload: offered {result['offered_spans_per_second']:,.0f} of {rate:,.0f} spans/s, {result['attempts']:,} requests; refused: {refused}; "
              f"{result['refused_without_hint']:,} without a hint when to try again; no answer or another: {result['failed']:,}{': ' + result['failure'] if result['failed'] else ''}")
        print(f"    accepted {result['accepted_spans']:,} spans, p50 {result['p50_ms']:.0f} ms, p99 {result['p99_ms']:.0f} ms; stored {in_time:,} at the end, {stored:,} after {drained:.0f} s more; "
              f"unknown, as their last attempt had no answer: {result['unknown_spans']:,}")
        print(f"    written per second, in {SLICES} parts: {', '.join(f'{part:,.0f}' for part in watch.rates())}")
        print(f"    memory: VmRSS {watch.rss:.0f} MiB, of it anonymous {watch.anonymous:.0f}; VmHWM {peak:.0f}; CPU: {100 * cores:.0f} %, load generator {100 * own:.0f} %", flush=True)
        return result
    finally:
        system.stop()


def generator_seconds() -> float:
    """CPU time of the load generators that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def compare(kind: str, folder: Path, database, options, load: Load) -> int:
    """Prints a table; gives the spans that `otel-mlflow` accepted and lost."""
    print(f"\n{kind}", flush=True)
    systems = [kind_of for kind_of in (Ours, Official) if kind_of.name in options.systems.split(",")]
    offered, lost, rows = None, 0, []
    for kind_of in systems:
        uri = database()
        most, missing = unloaded(kind_of, folder / f"{kind_of.name}-unloaded", uri, options, load)
        discard(uri)
        offered = offered or options.times * most
        needed = most * 60 * options.minutes * BYTES_PER_SPAN + 2 * options.queue_mib * 2**20
        if shutil.disk_usage(folder).free < needed:
            raise SystemExit(f"{folder} has no room for {options.minutes:g} minutes: about {needed / 2**30:.0f} GiB")
        uri = database()
        result = overload(kind_of, folder / f"{kind_of.name}-overload", uri, options, load, offered)
        discard(uri)
        if kind_of is Ours:
            lost = missing + result["lost"]
        answers = sum(result["refused"].values())
        rows.append(
            f"| {kind_of.name} | {most:,.0f} | {result['goodput']:,.0f} | {result['goodput'] / most:.2f} | {result['offered_spans_per_second']:,.0f}, {result['offered_spans_per_second'] / most:.1f} times "
            f"| {100 * answers / result['attempts']:.1f} % | {result['rss']:.0f} ({result['anonymous']:.0f}) MiB | {result['accepted_spans']:,} | {result['lost']:,} |"
        )
    print(f"\n| {kind} | unloaded, spans/s | overload, spans/s | ratio | offered, spans/s | refused | resident memory (anonymous) | accepted spans | lost of them |\n|---|---|---|---|---|---|---|---|---|")
    print("\n".join(rows), flush=True)
    return lost


def main():
    options = arguments()
    if options.unloaded_minutes is None:
        options.unloaded_minutes = options.minutes
    load = Load(options)
    # An end from outside stops what was started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    print(f"{os.cpu_count()} CPUs; 4-span traces, two 400-byte messages a span, {options.traces} traces a request, gzip; {options.times:g} times the maximum "
          f"over {options.overload_connections} connections for {options.minutes:g} minutes; queues of {options.queue_mib} MiB, synced before the answer")
    lost = 0
    with tempfile.TemporaryDirectory(prefix="otel-mlflow-overload-", dir=options.folder) as name:
        for kind in options.databases.split(","):
            with databases(kind, Path(name) / kind) as database:
                lost += compare(kind, Path(name) / kind, database, options, load)
    if lost:
        sys.exit(f"otel-mlflow lost {lost} accepted spans")


if __name__ == "__main__":
    main()
