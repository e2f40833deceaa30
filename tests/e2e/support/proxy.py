"""An HTTP proxy before a server, which misbehaves as it is told, and remembers what it was asked and when."""

import socket
import threading
import time
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from .otlp import ids

OTLP = "/v1/traces"


@dataclass
class Attempt:
    """A request that arrived, and when it was answered; times are those of the monotonic clock."""

    began: float
    route: str
    spans: frozenset
    mode: str
    answered: float = 0.0


class Proxy:
    """`mode` is what it does with each request that begins from then on:

    - `pass`: hands it on.
    - `500`, `429`: answers so itself; 429 with `Retry-After: <seconds>`. `500 for spans`: all else is handed on.
    - `504 for large`: does not wait for the answer to more than `limit` bytes, and says so.
    - `slow`: hands it on after `seconds`.
    - `late`: hands it on, and the answer `seconds` after it came.
    - `swallow`: hands it on, and ends the connection instead of answering.
    - `cut request`: reads half of it, and ends the connection.
    - `cut answer`: hands it on, and ends the connection within the body of the answer.
    """

    def __init__(self, target: int):
        self.target, self.mode, self.seconds = target, "pass", 2.0
        self.limit, self.too_large = 1 << 20, 0
        self.attempts: list[Attempt] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def arrived(self, mode: str) -> list[Attempt]:
        """What arrived in a mode."""
        return [attempt for attempt in list(self.attempts) if attempt.mode == mode]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def _handler(proxy: Proxy):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def relay(self):
            began, mode = time.monotonic(), proxy.mode
            length = int(self.headers.get("content-length") or 0)
            body = self.rfile.read(length // 2 if mode == "cut request" else length)
            attempt = Attempt(began, f"{self.command} {self.path}", _spans(self.path, body) if mode != "cut request" else frozenset(), mode)
            proxy.attempts.append(attempt)
            self.attempt = attempt
            self.misbehave(mode, body)

        def misbehave(self, mode: str, body: bytes):
            if mode == "500" or (mode == "500 for spans" and self.path == OTLP):
                return self.answer(500, {"content-type": "text/plain"}, b"Internal Server Error")
            if mode == "429":
                return self.answer(429, {"retry-after": f"{proxy.seconds:.0f}"}, b"slow down")
            if mode == "504 for large" and len(body) > proxy.limit:
                proxy.too_large += 1
                return self.answer(504, {"content-type": "text/html"}, b"<html>504 Gateway Time-out</html>")
            if mode == "cut request":
                return self.hang_up()
            if mode == "slow":
                time.sleep(proxy.seconds)
            status, headers, said = self.ask(body)
            if mode == "late":
                time.sleep(proxy.seconds)
            if mode == "swallow":
                return self.hang_up()
            self.answer(status, headers, said, missing=64 if mode == "cut answer" else 0)
            if mode == "cut answer":
                self.hang_up()

        def ask(self, body: bytes):
            connection = HTTPConnection("127.0.0.1", proxy.target, timeout=60)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection", "accept-encoding")}
            try:
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                return answer.status, {"content-type": answer.headers.get("content-type", "text/plain")}, answer.read()
            except OSError:
                return 502, {"content-type": "text/plain"}, b"Bad Gateway"
            finally:
                connection.close()

        def answer(self, status: int, headers: dict, said: bytes, missing: int = 0):
            # Noted before: afterwards the client may be ahead of us.
            self.attempt.answered = time.monotonic()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(said) + missing))
            self.end_headers()
            self.wfile.write(said)

        def hang_up(self):
            self.close_connection = True
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)

        def handle(self):
            try:
                super().handle()
            except OSError:
                # The client has gone: it had enough of waiting.
                pass

        do_GET = do_POST = do_PATCH = do_PUT = relay

        def log_message(self, *_):
            pass

    return Handler


def _spans(path: str, body: bytes) -> frozenset:
    return frozenset(ids(ExportTraceServiceRequest.FromString(body))) if path == OTLP else frozenset()
