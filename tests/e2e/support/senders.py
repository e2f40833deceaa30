"""Clients that send all the time, and what must be true of everything that was accepted from them."""

import re
import threading
from http.client import HTTPException

from .gateway import query, stored
from .otlp import ids, trace_request
from .process import http

RETRY = {429, 503}
TOKENS = (11, 7)


def with_tokens(traces: int = 5):
    """Traces of a root and two chat calls, each of which used tokens."""
    request = trace_request(traces=traces, spans=3)
    for span in request.resource_spans[0].scope_spans[0].spans:
        if span.name == "chat":
            for name, tokens in zip(("input", "output"), TOKENS):
                span.attributes.add(key=f"gen_ai.usage.{name}_tokens").value.int_value = tokens
    return request


class Senders:
    """Clients that send fresh requests until they are told to stop, and obey the hints, as an SDK does."""

    def __init__(self, url: str, count: int = 4, make=with_tokens, pause: float = 0):
        self.url, self.make, self.pause = url, make, pause
        self.accepted, self.refused, self.wrong, self.unanswered = [], 0, [], 0
        self.lock, self.end, self.abandon = threading.Lock(), threading.Event(), threading.Event()
        self.threads = [threading.Thread(target=self._send) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def _send(self):
        while not self.end.is_set():
            request = self.make()
            while (hint := self._deliver(request)) is not None and not self.abandon.is_set():
                self.abandon.wait(hint)
            self.end.wait(self.pause)

    def _deliver(self, request) -> float | None:
        """Sends the request; gives the seconds to wait before it is sent again."""
        try:
            status, headers, said = http("POST", f"{self.url}/v1/traces", request.SerializeToString(), {"content-type": "application/x-protobuf"})
        except (OSError, HTTPException):
            # No answer: the client does not know, and sends the same again.
            with self.lock:
                self.unanswered += 1
            return 0.05
        hint = {name.lower(): value for name, value in headers.items()}.get("retry-after")
        with self.lock:
            if status == 200:
                self.accepted.append(request)
                return None
            self.refused += 1
            if status not in RETRY or hint is None or not said:
                self.wrong.append((status, headers, said))
        return float(hint or 0.05)

    def finish(self) -> list:
        """Everything that was ever sent: what was refused is sent again until it is accepted."""
        self.end.set()
        for thread in self.threads:
            thread.join()
        assert not self.wrong, self.wrong[:3]
        return self.accepted

    def stop(self) -> list:
        """Everything that was accepted; what was not is given up."""
        self.abandon.set()
        return self.finish()


def spans_of(requests: list) -> int:
    return sum(len(ids(request)) for request in requests)


def metrics(gateway, name: str) -> float:
    """The sum of a metric over its labels."""
    text = http("GET", gateway.admin("/metrics"))[2].decode()
    values = re.findall(rf"^otel_mlflow_{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE)
    return sum(map(float, values))


def delivered(gateway, seconds: float = 120):
    gateway.process.wait_for(lambda: metrics(gateway, "exporter_queue_requests") == 0, "empty queue", seconds)


def check_once(uri: str, requests: list):
    """Every accepted span is there once, and each trace has the tokens of its spans."""
    assert stored(uri, *requests, seconds=120) == len(set().union(*(ids(request) for request in requests)))
    rows = query(uri, "SELECT count(*), count(DISTINCT (trace_id || span_id)) FROM spans")[0]
    assert rows[0] == rows[1]
    sent = {f"tr-{span.trace_id.hex()}" for request in requests for span in request.resource_spans[0].scope_spans[0].spans}
    totals = {trace: tokens for trace, *tokens in query(uri, "SELECT request_id, input_tokens, output_tokens, total_tokens FROM trace_info")}
    expected = [2 * TOKENS[0], 2 * TOKENS[1], 2 * sum(TOKENS)]
    wrong = {trace: totals.get(trace) for trace in sent if totals.get(trace) != expected}
    assert not wrong, f"{len(wrong)} of {len(sent)} traces have other totals: {list(wrong.items())[:3]}"
