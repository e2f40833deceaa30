"""SIGHUP: what changes, what stays, and what is refused."""

import http.client
import os
import signal
import socket
import ssl

import grpc
import pytest
import yaml

from support.gateway import UNQUEUED, Ports, config, stored
from support.otlp import trace_request
from support.process import answers, listens, http as plain_http
from support.trust import client, context, metric, no_other_authorities, ours, post, protected, PROTOBUF, Senders, server, strangers, tls, tokens  # noqa: F401


def reload(gateway, settings: dict | None, outcome: str = "applied"):
    """Writes a configuration, sends SIGHUP, and waits until it is in force or refused."""
    series = f'otel_mlflow_reloads_total{{what="configuration",outcome="{outcome}"}}'
    before = metric(gateway, series)
    if settings is not None:
        gateway.file.write_text(yaml.safe_dump(settings, sort_keys=False))
    os.kill(gateway.process.pid, signal.SIGHUP)
    gateway.process.wait_for(lambda: metric(gateway, series) > before, f"reload that is {outcome}")


def serial_shown(port: int) -> int:
    from cryptography import x509

    return x509.load_pem_x509_certificate(ssl.get_server_certificate(("127.0.0.1", port)).encode()).serial_number


def test_tokens_and_certificates_are_read_again(gateway, empty_database, ours, tmp_path):
    uri, ports = empty_database("sqlite"), Ports()
    first, second = ours.server("first"), ours.server("second")
    cert, key, known = tmp_path / "tls.crt", tmp_path / "tls.key", tmp_path / "tokens"

    def install(pair, *some):
        cert.write_bytes(pair.cert_file.read_bytes())
        key.write_bytes(pair.key_file.read_bytes())
        known.write_text("\n".join(some))

    install(first, "old")
    files = {"cert_file": str(cert), "key_file": str(key)}
    one = gateway(uri, protected(uri, ports, tls=files, auth={"bearertokenauth": {"filename": str(known)}}), ports, ready=False)
    one.process.wait_for(lambda: answers(one.admin("/readyz")), "answer to /readyz")
    kept = http.client.HTTPSConnection("127.0.0.1", ports.http, timeout=30, context=context(ours))

    def ask(token) -> int:
        kept.request("POST", "/v1/traces", trace_request().SerializeToString(), {**PROTOBUF, "authorization": f"Bearer {token}"})
        answer = kept.getresponse()
        answer.read()
        return answer.status

    assert (ask("old"), ask("new")) == (200, 401)
    socket_before = kept.sock
    install(second, "old", "new")
    reload(one, None)
    assert (ask("old"), ask("new")) == (200, 200)
    install(second, "new")
    reload(one, None)
    assert (ask("old"), ask("new")) == (401, 200)
    assert kept.sock is socket_before, "the connection did not stay open"
    assert serial_shown(ports.http) == serial_shown(ports.grpc) == second.serial
    # A key that does not fit: what was read before stays.
    key.write_bytes(first.key_file.read_bytes())
    known.write_text("newer")
    reload(one, None, "refused")
    assert (ask("newer"), ask("new")) == (401, 200)
    assert serial_shown(ports.http) == second.serial
    assert metric(one, "otel_mlflow_config_last_reload_successful") == 0
    assert "tls.key_file" in one.process.output() and "stays in force" in one.process.output()


def test_files_are_read_again_at_their_interval(gateway, empty_database, ours, tmp_path):
    uri, ports = empty_database("sqlite"), Ports()
    first, second = ours.server("early"), ours.server("later")
    cert, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    cert.write_bytes(first.cert_file.read_bytes())
    key.write_bytes(first.key_file.read_bytes())
    files = {"cert_file": str(cert), "key_file": str(key), "reload_interval": "50ms"}
    one = gateway(uri, protected(uri, ports, tls=files), ports)
    assert serial_shown(ports.http) == first.serial
    key.write_text("no key")
    series = 'otel_mlflow_reloads_total{what="trust",outcome="refused"}'
    one.process.wait_for(lambda: metric(one, series) > 0, "refused reading")
    assert serial_shown(ports.http) == first.serial
    cert.write_bytes(second.cert_file.read_bytes())
    key.write_bytes(second.key_file.read_bytes())
    for port in (ports.http, ports.grpc):
        one.process.wait_for(lambda: serial_shown(port) == second.serial, "new certificate")


def test_other_authorities_of_clients_end_the_connections_of_the_former(gateway, empty_database, ours, strangers, server, client):
    uri, ports = empty_database("sqlite"), Ports()
    one = gateway(uri, protected(uri, ports, tls=tls(server, client_ca_file=str(ours.cert_file))), ports)
    kept = http.client.HTTPSConnection("127.0.0.1", ports.http, timeout=30, context=context(ours, client))
    kept.request("POST", "/v1/traces", trace_request().SerializeToString(), PROTOBUF)
    assert kept.getresponse().read() == b""
    reload(one, protected(uri, ports, tls=tls(server, client_ca_file=str(strangers.cert_file))))
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
        kept.request("POST", "/v1/traces", trace_request().SerializeToString(), PROTOBUF)
        kept.getresponse()
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
        post(ports, b"", context(ours, client))
    assert post(ports, trace_request().SerializeToString(), context(ours, strangers.client()))[0] == 200


def test_a_bad_file_is_refused_and_the_former_configuration_goes_on(gateway, empty_database):
    uri, ports = empty_database("sqlite"), Ports()
    good = config(uri, ports)
    one = gateway(uri, good, ports)
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()

    def changed(change) -> dict:
        settings = config(uri, ports)
        change(settings)
        return settings

    bad = [
        ("unknown key", lambda s: s["exporters"]["mlflow"].update(trakcing_uri="x")),
        ("other machines", lambda s: s["receivers"]["otlp"]["protocols"]["grpc"].update(endpoint="0.0.0.0:4317")),
        ("is not defined", lambda s: s["service"]["pipelines"]["traces"].update(exporters=["nowhere"])),
        ("cannot listen on", lambda s: s["receivers"]["otlp"]["protocols"]["http"].update(endpoint=f"127.0.0.1:{taken.getsockname()[1]}")),
        ("without a restart", lambda s: s["receivers"]["otlp"]["protocols"]["http"].update(endpoint=f"0.0.0.0:{ports.http}", insecure=True)),
        ("/nowhere/prices.json", lambda s: s["exporters"]["mlflow"].update(prices="/nowhere/prices.json")),
    ]
    for says, change in bad:
        before = len(one.process.output())
        reload(one, changed(change), "refused")
        said = one.process.output()[before:]
        assert "not reloaded" in said and says in said, said
        request = trace_request()
        assert one.post(request.SerializeToString())[0] == 200
        assert stored(uri, request) == 2
        assert answers(one.admin("/readyz"))
    taken.close()
    one.file.write_text("receivers: [")
    reload(one, None, "refused")
    reload(one, good)
    assert metric(one, "otel_mlflow_config_last_reload_successful") == 1


def test_addresses_exporters_and_receivers_change(gateway, empty_database):
    first, second, ports, moved = empty_database("sqlite"), empty_database("sqlite"), Ports(), Ports()
    one = gateway(first, config(first, ports), ports)
    # Another destination, another address for HTTP, gRPC off, the admin server elsewhere, one more receiver.
    settings = config(second, moved)
    del settings["receivers"]["otlp"]["protocols"]["grpc"]
    settings["receivers"]["otlp/extra"] = {"protocols": {"http": {"endpoint": f"127.0.0.1:{moved.grpc}"}}}
    settings["service"]["pipelines"]["traces"]["receivers"].append("otlp/extra")
    one.file.write_text(yaml.safe_dump(settings))
    os.kill(one.process.pid, signal.SIGHUP)
    one.ports = moved
    one.process.wait_for(lambda: answers(one.admin("/readyz")), "admin server at its new address")
    for port in (moved.http, moved.grpc):
        request = trace_request()
        status, _, said = plain_http("POST", f"http://127.0.0.1:{port}/v1/traces", request.SerializeToString(), PROTOBUF)
        assert status == 200, said
        assert (stored(second, request), stored(first, request, seconds=0)) == (2, 0)
    for port in (ports.http, ports.grpc, ports.admin):
        one.process.wait_for(lambda: not listens(port), "end of a former address")
    # And back, with less.
    reload(one, {**config(first, moved), "extensions": {"admin": {"endpoint": f"127.0.0.1:{moved.admin}"}}}, "refused")
    back = config(first, moved)
    del back["receivers"]["otlp"]["protocols"]["grpc"]
    reload(one, back)
    request = trace_request()
    assert one.post(request.SerializeToString())[0] == 200
    assert stored(first, request) == 2
    assert answers(one.admin("/readyz")), plain_http("GET", one.admin("/readyz"))
    assert one.terminate() == 0


@pytest.mark.parametrize("queue", [{}, UNQUEUED], ids=["queue", "no queue"])
def test_reloads_under_load_lose_nothing(gateway, empty_database, ours, server, queue):
    """Ten reloads, each with another exporter, other limits and other tokens, while clients send without pause."""
    uri, ports = empty_database("sqlite"), Ports()
    settings = protected(uri, ports, queue, tls=tls(server), auth=tokens("t", "0"))
    one = gateway(uri, settings, ports)
    senders = Senders(ports, ours)
    try:
        for number in range(1, 11):
            settings = protected(uri, ports, queue, tls=tls(server), auth=tokens("t", str(number)))
            settings["exporters"]["mlflow"]["batch"] = {"max_spans": 100 + number}
            settings["receivers"]["otlp"]["max_requests_in_flight"] = 500 + number
            sent = len(senders.sent)
            reload(one, settings)
            one.process.wait_for(lambda: len(senders.sent) > sent + 5 or senders.failures, "traffic")
    finally:
        senders.stop()
    assert senders.failures == []
    assert stored(uri, *senders.sent) == 2 * len(senders.sent)
    assert metric(one, "otel_mlflow_process_panics_total") == 0
    assert one.terminate() == 0
    print(f"{len(senders.sent)} requests through 10 reloads")
