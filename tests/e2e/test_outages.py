"""Outages of the destination, under load: MLflow's own server behind a proxy that misbehaves, and PostgreSQL.

A client that obeys the hints loses nothing, nothing is counted twice, and /readyz and /metrics tell the truth. Outages
last seconds; with `OUTAGE_SECONDS=180` they last minutes.
"""

import signal
import time

import pytest

from support.mlflow_server import MlflowServer
from support.outage import RETRIES, SECONDS, load, recovered, survived
from support.postgres import Postgres
from support.proxy import Proxy
from support.senders import metrics, with_tokens


@pytest.fixture(scope="module")
def own_postgres(workspace):
    """One that tests may stop."""
    one = Postgres(workspace / "postgres-outages.log")
    yield one
    one.stop()


BROKEN = ("broke the connection", "cannot connect")
WAYS = {
    "500": ("500",),
    "500 for spans": ("500",),
    "429": ("429",),
    "late": ("did not answer in time",),
    "swallow": BROKEN,
    "cut request": BROKEN,
    "cut answer": BROKEN,
}


# --- a server that misbehaves -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", WAYS)
def test_a_server_that_fails_for_a_time_costs_nothing(mode, mlflow_server, proxy, gateway):
    """What MLflow wrote without saying so is sent again, and counts once all the same."""
    proxy.seconds = 4 if mode == "late" else 2
    running = gateway(proxy.url, timeout="2s" if mode == "late" else "10s", retry_on_failure=RETRIES)
    survived(running, mlflow_server.backend_uri, lambda: setattr(proxy, "mode", mode), lambda: setattr(proxy, "mode", "pass"), WAYS[mode])
    tried = [attempt for attempt in proxy.arrived(mode) if attempt.route == "POST /v1/traces"]
    assert len(tried) >= 3, "the gateway did not meet the trouble"
    if mode in ("late", "swallow", "cut answer"):
        written = frozenset().union(*(attempt.spans for attempt in tried))
        again = frozenset().union(*(attempt.spans for attempt in proxy.arrived("pass")))
        assert written & again, "nothing that was written without an answer was sent again"
    if mode == "429":
        hints_were_obeyed(proxy)


def test_a_backlog_is_sent_in_portions_that_the_server_takes(mlflow_server, proxy, gateway):
    """After an outage all that waited comes at once, and a proxy gives up on the largest requests every time."""
    running = gateway(proxy.url, retry_on_failure=RETRIES)
    proxy.limit = 30_000
    modes = [lambda mode=mode: setattr(proxy, "mode", mode) for mode in ("500 for spans", "504 for large")]
    survived(running, mlflow_server.backend_uri, *modes, ("500",), make=lambda: with_tokens(traces=20), pause=0.5)
    assert proxy.too_large > 0, "there was no backlog"


def hints_were_obeyed(proxy: Proxy):
    """No span came back before its time, and once the server was known to be busy, nothing else came either."""
    refused = proxy.arrived("429")
    attempts = sorted(proxy.attempts, key=lambda attempt: attempt.began)
    for attempt in refused:
        early = [later for later in attempts if later.spans & attempt.spans and 0 < later.began - attempt.answered < proxy.seconds]
        assert not early, f"sent again after {early[0].began - attempt.answered:.3f} s"
    # What was under way when the third request was refused arrives within a second of it.
    known = sorted(attempt.answered for attempt in refused)[2] + 1
    ends = [attempt.answered for attempt in refused]
    for attempt in attempts:
        if attempt.began > known and attempt.mode == "429":
            last = max(end for end in ends if end <= attempt.began)
            assert attempt.began - last >= proxy.seconds, f"{attempt.route} after {attempt.began - last:.3f} s"


def test_a_slow_server_is_no_outage(mlflow_server, proxy, gateway):
    """Seconds for each answer: everything is delivered, later, and nobody says that something is wrong."""
    running = gateway(proxy.url, retry_on_failure=RETRIES)
    with load(running) as (senders, watch):
        since = watch.now()
        proxy.mode = "slow"
        running.process.wait_for(lambda: len(proxy.arrived("slow")) > 2 and len(senders.accepted) > 10, "slow answers")
        running.process.wait_for(lambda: metrics(running, "exporter_queue_requests") > 0, "requests in the queue")
        time.sleep(SECONDS)
        proxy.mode = "pass"
        recovered(running, mlflow_server.backend_uri, senders, watch)
        watch.stayed(200, since)
        assert metrics(running, "exporter_retries_total") == 0 and senders.refused == senders.unanswered == 0


# --- PostgreSQL -------------------------------------------------------------------------------------------------------

STOPS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}


@pytest.mark.parametrize("mode", STOPS)
def test_postgresql_stopped_under_load_costs_nothing(mode, own_postgres, gateway):
    """As `pg_ctl stop -m fast`, and as `-m immediate`, after which the server recovers from its log."""
    uri = own_postgres.database()
    running = gateway(uri, retry_on_failure=RETRIES)
    survived(running, uri, lambda: own_postgres.stop_server(STOPS[mode]), own_postgres.start, ("PostgreSQL",), pause=0.05)


@pytest.fixture(scope="module")
def server_of_postgres(workspace, own_postgres):
    one = MlflowServer(workspace / "outage-behind", own_postgres.database())
    yield one
    one.stop()


@pytest.mark.parametrize("trouble", ["stopped", "read-only"])
def test_postgresql_that_is_behind_an_mlflow_server_costs_nothing(trouble, own_postgres, server_of_postgres, gateway):
    """The server still answers, and fails: what it says of its own trouble is not taken for a fault of the spans."""
    running = gateway(server_of_postgres.url, retry_on_failure=RETRIES)
    ways = {
        "stopped": (own_postgres.stop_server, own_postgres.start),
        # As the one that a failover leaves behind.
        "read-only": (lambda: own_postgres.read_only(True), lambda: own_postgres.read_only(False)),
    }
    survived(running, server_of_postgres.backend_uri, *ways[trouble], (server_of_postgres.url,))
