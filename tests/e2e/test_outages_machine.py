"""The gateway's own machine fails it, under load: a full disk, and a clock that jumps.

`OUTAGE_SECONDS=180` makes the outages last minutes.
"""

import datetime
import re
import time

from support.clock import Clock
from support.gateway import Ports, queue_in
from support.otlp import attribute
from support.outage import RETRIES, SECONDS, load, recovered, survived
from support.process import answers, http
from support.senders import check_once, delivered, metrics, with_tokens
from support.small_disk import SmallDisk

HOUR, DAY = 3600, 86_400
DISK_FULL = "the disk of the queue is full"


def large():
    """Few spans that take much room."""
    request = with_tokens()
    attribute(request.resource_spans[0].resource.attributes, "padding", "x" * 100_000)
    return request


# --- full disks -------------------------------------------------------------------------------------------------------


def test_a_full_disk_of_the_queue_refuses_with_a_hint_and_recovers_by_itself(mlflow_server, proxy, gateway, tmp_path):
    running = full_queue(gateway, proxy, tmp_path)
    with load(running, make=large, pause=0.1) as (senders, watch):
        refuses_for_want_of_room(running, proxy, senders)
        since = watch.now()
        time.sleep(SECONDS)
        watch.stayed(503, since, (DISK_FULL,))
        text = http("GET", running.admin("/metrics"))[2].decode()
        [refused] = re.findall(r'exporter_enqueue_failed_spans_total\{.*reason="disk_full".*\} (\d+)', text)
        assert int(refused) >= 15 * 3
        assert metrics(running, "exporter_queue_write_errors_total") > 0
        waiting = metrics(running, "exporter_queue_requests")
        assert waiting > 5
        taken = len(senders.accepted)
        proxy.mode = "pass"
        running.process.wait_for(lambda: len(senders.accepted) > taken + waiting, "as much again as was in the queue")
        recovered(running, mlflow_server.backend_uri, senders, watch)


def test_a_disk_that_is_no_longer_full_makes_ready_though_nobody_sends(mlflow_server, proxy, gateway, tmp_path):
    """Whoever goes by /readyz sends nothing until it is good."""
    running = full_queue(gateway, proxy, tmp_path)
    with load(running, make=large, pause=0.1) as (senders, watch):
        refuses_for_want_of_room(running, proxy, senders)
        senders.stop()
        proxy.mode = "pass"
        recovered(running, mlflow_server.backend_uri, senders, watch)


def full_queue(gateway, proxy, folder):
    """A gateway whose queue has a disk of 2 MiB."""
    disk = SmallDisk(folder / "small", "2m")
    return gateway(proxy.url, popen={"prefix": disk.prefix}, sending_queue=queue_in(disk.folder), retry_on_failure=RETRIES)


def refuses_for_want_of_room(running, proxy, senders):
    """Takes the server away until the queue fills its disk."""
    running.process.wait_for(lambda: metrics(running, "exporter_sent_spans_total") > 0, "delivery")
    proxy.mode = "500"
    running.process.wait_for(lambda: senders.refused > 3, "refusals because of a full disk")
    running.process.wait_for(lambda: DISK_FULL in http("GET", running.admin("/readyz"))[2].decode(), "the reason in /readyz")


def test_a_full_disk_of_the_database_costs_nothing(gateway, tmp_path):
    """The queue is on another disk: clients notice nothing."""
    disk = SmallDisk(tmp_path / "small", "64m")
    running = gateway(f"sqlite:///{disk.folder}/mlflow.db", popen={"prefix": disk.prefix}, retry_on_failure=RETRIES)
    pid = running.process.pid
    survived(
        running, lambda: disk.copy_database(pid, "mlflow.db", tmp_path / "copy.db"),
        lambda: disk.fill(pid), lambda: disk.free(pid), ("the disk is full",), pause=0.05,
    )


# --- the clock --------------------------------------------------------------------------------------------------------


def test_a_clock_that_jumps_costs_nothing(mlflow_server, proxy, gateway, tmp_path):
    """An hour ahead with requests in the queue that may be half an hour old, then a day back."""
    clock = Clock(tmp_path)
    running = gateway(proxy.url, env=clock.env, sending_queue={"max_age": "30m"}, retry_on_failure=RETRIES)

    def begin():
        proxy.mode = "500"
        clock.jump(HOUR)

    def end():
        clock.jump(-DAY)
        time.sleep(2)
        proxy.mode = "pass"

    survived(running, mlflow_server.backend_uri, begin, end, ("500",))
    assert running.terminate() == 0
    stamps = re.findall(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", running.process.output())
    last = datetime.datetime.fromisoformat(stamps[-1]).replace(tzinfo=datetime.UTC)
    now = datetime.datetime.now(datetime.UTC)
    assert abs((now - last).total_seconds() - DAY) < HOUR, "the gateway did not see the jump"


def test_a_queue_from_a_clock_ahead_is_delivered_after_a_start_with_one_behind(mlflow_server, proxy, gateway, tmp_path):
    clock, ports = Clock(tmp_path), Ports()
    settings = {"env": clock.env, "ports": ports, "sending_queue": {**queue_in(tmp_path), "max_age": "30m"}, "retry_on_failure": RETRIES}
    clock.jump(HOUR)
    running = gateway(proxy.url, **settings)
    proxy.mode = "500"
    kept = [with_tokens() for _ in range(5)]
    for request in kept:
        assert running.post(request.SerializeToString())[0] == 200
    running.process.child.kill()
    running.process.wait()
    clock.jump(-DAY)
    running = gateway(proxy.url, ready=False, **settings)
    running.process.wait_for(lambda: answers(running.admin("/readyz"), 503), "failing /readyz")
    assert metrics(running, "exporter_queue_requests") == 5
    assert metrics(running, "exporter_queue_oldest_age_seconds") >= 0
    proxy.mode = "pass"
    delivered(running)
    check_once(mlflow_server.backend_uri, kept)
    assert metrics(running, "exporter_queue_dropped_requests_total") == 0
