"""Somebody who asks a gateway how it is, all the time, and does not forget what it said."""

import re
import threading
import time
from dataclasses import dataclass
from http.client import HTTPException

from .process import answers, http
from .senders import Senders, spans_of

LOSSES = ("exporter_dead_letter_spans_total", "exporter_dropped_spans_total", "exporter_queue_dropped_requests_total")
COUNTERS = (*LOSSES, "receiver_accepted_spans_total", "exporter_sent_spans_total", "exporter_retries_total", "exporter_send_failed_spans_total")


@dataclass
class Sample:
    """What was said at a time."""

    at: float
    acknowledged: int
    figures: dict
    ready: int
    why: str
    live: int


class Watch:
    """Samples /metrics, /readyz and /livez of a gateway whose clients are `senders`."""

    def __init__(self, gateway, senders: Senders):
        self.gateway, self.senders = gateway, senders
        self.samples: list[Sample] = []
        self.silent: list[str] = []
        self.end = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while not self.end.wait(0.1):
            try:
                self.samples.append(self._sample())
            except (OSError, HTTPException) as error:
                self.silent.append(repr(error))

    def _sample(self) -> Sample:
        acknowledged = spans_of(list(self.senders.accepted))
        text = http("GET", self.gateway.admin("/metrics"))[2].decode()
        figures: dict[str, float] = {}
        for name, value in re.findall(r"^otel_mlflow_(\w+)(?:\{[^}]*\})? (\S+)$", text, re.MULTILINE):
            figures[name] = figures.get(name, 0.0) + float(value)
        ready, _, why = http("GET", self.gateway.admin("/readyz"))
        return Sample(time.monotonic(), acknowledged, figures, ready, why.decode(), http("GET", self.gateway.admin("/livez"))[0])

    def now(self) -> int:
        """The place of the first sample that begins after this."""
        return len(self.samples) + 1

    def until(self, ready: int):
        """Waits until /readyz answers so."""
        url = self.gateway.admin("/readyz")
        self.gateway.process.wait_for(lambda: answers(url, ready), f"{ready} from /readyz")

    def stayed(self, ready: int, since: int, reasons: tuple = ()):
        """All samples since then said so, and named one of the reasons."""
        wrong = [sample for sample in self.samples[since:] if sample.ready != ready or (reasons and not any(reason in sample.why for reason in reasons))]
        assert len(self.samples) > since, "nobody looked"
        assert not wrong, f"{len(wrong)} of {len(self.samples) - since}: {wrong[0].ready} {wrong[0].why}"

    def stop(self):
        """Ends the watch; checks what must be true of every answer, whatever happens."""
        self.end.set()
        self.thread.join()
        assert not self.silent, self.silent[:3]
        assert len(self.samples) > 5, "nobody looked"
        began = self.samples[0].at
        for before, sample in zip(self.samples, self.samples[1:]):
            figures = sample.figures
            assert sample.live == 200
            assert figures["receiver_accepted_spans_total"] >= sample.acknowledged, "fewer were accepted than were answered"
            # Before the first sample there was little time.
            assert 0 <= figures["exporter_queue_oldest_age_seconds"] < sample.at - began + 30
            assert {name: figures.get(name, 0) for name in LOSSES} == dict.fromkeys(LOSSES, 0)
            for name in COUNTERS:
                assert figures.get(name, 0) >= before.figures.get(name, 0), f"{name} went back"
