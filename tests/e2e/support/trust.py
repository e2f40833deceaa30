"""Clients of protected listeners: TLS, client certificates, tokens; and the fixtures that the tests of them share."""

import copy
import http.client
import ssl
import threading

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from .gateway import UNQUEUED, Ports, config
from .otlp import trace_request
from .pki import Authority
from .process import http as plain_http

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
PROTOBUF = {"content-type": "application/x-protobuf"}


@pytest.fixture(autouse=True)
def no_other_authorities(monkeypatch):
    """`requests` prefers what these name to what its caller says."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def ours(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"), "ours")


@pytest.fixture(scope="module")
def strangers(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("strangers"), "strangers")


@pytest.fixture(scope="module")
def server(ours):
    return ours.server()


@pytest.fixture(scope="module")
def client(ours):
    return ours.client()


def protected(uri: str, ports: Ports, queue: dict = UNQUEUED, **listener) -> dict:
    """A configuration whose two listeners have these keys. Without a queue, so that an answer says what is stored."""
    settings = config(uri, ports, sending_queue=queue)
    for one in settings["receivers"]["otlp"]["protocols"].values():
        one.update(copy.deepcopy(listener))
    return settings


def tls(server, **more) -> dict:
    return {"cert_file": str(server.cert_file), "key_file": str(server.key_file), **more}


def tokens(*some) -> dict:
    return {"bearertokenauth": {"tokens": list(some)}}


def context(authority, client=None) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=str(authority.cert_file))
    if client:
        made.load_cert_chain(str(client.cert_file), str(client.key_file))
    return made


def post(ports: Ports, body: bytes, tls_context=None, headers=None):
    """One request on a connection of its own: status, headers, body."""
    kind = http.client.HTTPConnection if tls_context is None else http.client.HTTPSConnection
    more = {} if tls_context is None else {"context": tls_context}
    connection = kind("127.0.0.1", ports.http, timeout=30, **more)
    try:
        connection.request("POST", "/v1/traces", body, {**PROTOBUF, **(headers or {})})
        answer = connection.getresponse()
        names = {name.lower() for name, _ in answer.getheaders()}
        return answer.status, {name: ", ".join(answer.headers.get_all(name)) for name in names}, answer.read()
    finally:
        connection.close()


def channel(ports: Ports, authority=None, client=None) -> grpc.Channel:
    if authority is None:
        return grpc.insecure_channel(f"127.0.0.1:{ports.grpc}")
    identity = (client.key_file.read_bytes(), client.cert_file.read_bytes()) if client else (None, None)
    return grpc.secure_channel(f"127.0.0.1:{ports.grpc}", grpc.ssl_channel_credentials(authority.cert_file.read_bytes(), *identity))


def call(open_channel: grpc.Channel, request, metadata=(), timeout: float = 30):
    export = open_channel.unary_unary(EXPORT, type(request).SerializeToString, ExportTraceServiceResponse.FromString)
    return export(request, timeout=timeout, metadata=metadata)


def code(open_channel: grpc.Channel, request, metadata=(), timeout: float = 30) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as error:
        call(open_channel, request, metadata, timeout)
    return error.value


def metric(gateway, series: str) -> float:
    text = plain_http("GET", gateway.admin("/metrics"))[2].decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(series + " "))


class Senders:
    """Clients that send without pause and never repeat: what is refused or broken off is a failure."""

    def __init__(self, ports: Ports, authority):
        self.ports, self.authority = ports, authority
        self.sent, self.failures, self.over = [], [], threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(one,)) for one in (self._http, self._new, self._grpc)]
        for thread in self.threads:
            thread.start()

    def _run(self, send):
        while not self.over.is_set():
            request = trace_request()
            try:
                send(request)
                self.sent.append(request)
            except Exception as error:
                self.failures.append(f"{send.__name__}: {error!r}")
                return

    def _http(self, request):
        """On one connection all the time."""
        if not hasattr(self, "kept"):
            self.kept = http.client.HTTPSConnection("127.0.0.1", self.ports.http, timeout=60, context=context(self.authority))
        self.kept.request("POST", "/v1/traces", request.SerializeToString(), {**PROTOBUF, "authorization": "Bearer t"})
        answer = self.kept.getresponse()
        assert (answer.status, answer.read()) == (200, b"")

    def _new(self, request):
        """On a new connection each time."""
        status, _, said = post(self.ports, request.SerializeToString(), context(self.authority), {"authorization": "Bearer t"})
        assert status == 200, said

    def _grpc(self, request):
        if not hasattr(self, "channel"):
            self.channel = channel(self.ports, self.authority)
        call(self.channel, request, (("authorization", "Bearer t"),), timeout=60)

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()
        self.channel.close()
        self.kept.close()
