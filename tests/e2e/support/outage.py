"""The course of an outage, and what must hold in it: clients notice nothing, and the gateway tells the truth."""

import os
import time

from .gateway import Gateway
from .process import answers
from .senders import Senders, check_once, delivered, metrics, spans_of
from .watch import Watch

SECONDS = float(os.environ.get("OUTAGE_SECONDS", "3"))
RETRIES = {"initial_interval": "200ms", "max_interval": "1s"}


def survived(gateway: Gateway, uri: str, begin, end, reasons: tuple, load: dict | None = None):
    """Under load `begin()` takes the destination away and `end()` gives it back.

    While it is away /readyz fails and names one of `reasons`, and requests are accepted. Afterwards all that was
    accepted is in the database `uri`, once, and the figures say so.
    """
    senders = Senders(gateway.http, **{"count": 2, "pause": 0.3, **(load or {})})
    watch = Watch(gateway, senders)
    try:
        gateway.process.wait_for(lambda: metrics(gateway, "exporter_sent_spans_total") > 0, "delivery")
        begin()
        watch.until(503)
        since, before = watch.now(), len(senders.accepted)
        gateway.process.wait_for(lambda: len(senders.accepted) > before + 5, "requests taken during the outage")
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
    finally:
        senders.abandon.set()
        senders.end.set()
        watch.end.set()


def recovered(gateway: Gateway, uri: str, senders: Senders, watch: Watch) -> list:
    """The destination is back: everything that clients ever sent gets there, once, and all figures are good."""
    watch.until(200)
    sent = senders.finish()
    delivered(gateway, 120 + 4 * SECONDS)
    check_once(uri, sent)
    watch.until(200)
    watch.stop()
    spans = spans_of(sent)
    assert metrics(gateway, "exporter_sent_spans_total") >= spans
    if not senders.unanswered:
        assert metrics(gateway, "receiver_accepted_spans_total") == spans
    assert answers(gateway.admin("/livez"))
    return sent
