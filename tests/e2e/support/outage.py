"""The course of an outage, and what must hold in it: clients notice nothing, and the gateway tells the truth."""

import os
import time
from contextlib import contextmanager

from .gateway import Gateway
from .process import answers
from .senders import Senders, check_once, delivered, metrics, spans_of
from .watch import Watch

SECONDS = float(os.environ.get("OUTAGE_SECONDS", "3"))
RETRIES = {"initial_interval": "200ms", "max_interval": "1s"}


@contextmanager
def load(gateway: Gateway, **more):
    """Clients and a watch; whatever happens, they end with the block."""
    senders = Senders(gateway.http, **{"count": 2, "pause": 0.3, **more})
    watch = Watch(gateway, senders)
    try:
        yield senders, watch
    finally:
        senders.abandon.set()
        senders.end.set()
        watch.end.set()


def survived(gateway: Gateway, uri, begin, end, reasons: tuple, **more):
    """Under load `begin()` takes the destination away and `end()` gives it back.

    While it is away /readyz fails and names one of `reasons`, and requests are accepted. Afterwards all that was
    accepted is in the database `uri`, which may be a function that gives it, once, and the figures say so.
    """
    with load(gateway, **more) as (senders, watch):
        gateway.process.wait_for(lambda: metrics(gateway, "exporter_sent_spans_total") > 0, "delivery")
        begin()
        watch.until(503)
        # What was under way when it began may still succeed, and then all is well for a moment.
        before, sent = None, None
        while before is None or sent != metrics(gateway, "exporter_sent_spans_total"):
            before, sent = len(senders.accepted), metrics(gateway, "exporter_sent_spans_total")
            gateway.process.wait_for(lambda: len(senders.accepted) > before + 5, "requests taken during the outage")
        watch.until(503)
        since = watch.now()
        time.sleep(SECONDS)
        kept = len(senders.accepted) - before
        gateway.process.wait_for(lambda: metrics(gateway, "exporter_queue_requests") >= kept, f"{kept} requests in the queue")
        gateway.process.wait_for(lambda: metrics(gateway, "exporter_queue_oldest_age_seconds") > SECONDS, "age of the oldest")
        watch.stayed(503, since, reasons)
        assert metrics(gateway, "exporter_queue_size") > 0
        assert metrics(gateway, "exporter_send_failed_spans_total") > 0
        end()
        recovered(gateway, uri, senders, watch)
        assert metrics(gateway, "exporter_retries_total") > 0
        assert senders.refused == senders.unanswered == 0, "a client noticed"


def recovered(gateway: Gateway, uri, senders: Senders, watch: Watch) -> list:
    """The destination is back: everything that clients ever sent gets there, once, and all figures are good."""
    watch.until(200)
    sent = senders.finish()
    delivered(gateway, 120 + 4 * SECONDS)
    check_once(uri() if callable(uri) else uri, sent)
    watch.until(200)
    watch.stop()
    spans = spans_of(sent)
    assert metrics(gateway, "exporter_sent_spans_total") >= spans
    if not senders.unanswered:
        assert metrics(gateway, "receiver_accepted_spans_total") == spans
    assert answers(gateway.admin("/livez"))
    return sent
