"""TLS, client certificates, tokens and passwords with real clients; and secrets that nobody gets to see."""

import base64
import http.client
import os
import signal
import ssl
import subprocess
from pathlib import Path

import grpc
import pytest
import yaml
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from support.gateway import ROOT, Ports, binary, config, query, stored
from support.otlp import trace_request
from support.process import answers, free_port, http as plain_http
from support.senders import metrics
from support.trust import call, channel, client, code, context, metric, no_other_authorities, ours, post, protected, server, strangers, tls, tokens  # noqa: F401


def some_spans(count: int = 2) -> list:
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    for number in range(count):
        with provider.get_tracer("trust").start_as_current_span(f"span {number}"):
            pass
    return list(kept.get_finished_spans())


def python_exporter(protocol: str, ports: Ports, authority, client=None, headers=None):
    if protocol == "grpc":
        identity = (client.key_file.read_bytes(), client.cert_file.read_bytes()) if client else (None, None)
        credentials = grpc.ssl_channel_credentials(authority.cert_file.read_bytes(), *identity)
        return GrpcExporter(endpoint=f"https://127.0.0.1:{ports.grpc}", credentials=credentials, headers=tuple((headers or {}).items()), timeout=5)
    files = {"client_certificate_file": str(client.cert_file), "client_key_file": str(client.key_file)} if client else {}
    return HttpExporter(endpoint=f"https://127.0.0.1:{ports.http}/v1/traces", certificate_file=str(authority.cert_file), headers=headers, timeout=5, **files)


def names_of(uri: str) -> list[str]:
    return sorted(row[0] for row in query(uri, "SELECT name FROM spans"))


# --- who gets in ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mutual", [False, True], ids=["tls", "mtls"])
@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_python_client(protocol, mutual, gateway, empty_database, ours, strangers, server, client):
    uri, ports = empty_database("sqlite"), Ports()
    asked = {"client_ca_file": str(ours.cert_file)} if mutual else {}
    gateway(uri, protected(uri, ports, tls=tls(server, **asked), auth=tokens("old", "new")), ports)
    shown = client if mutual else None

    def export(token, identity=shown):
        exporter = python_exporter(protocol, ports, ours, identity, {"authorization": f"Bearer {token}"})
        try:
            return exporter.export(some_spans())
        finally:
            exporter.shutdown()

    assert export("wrong") is SpanExportResult.FAILURE
    if mutual:
        for identity in (None, strangers.client(), ours.client("expired", expired=True)):
            assert export("new", identity) is SpanExportResult.FAILURE
    assert names_of(uri) == []
    assert export("new") is SpanExportResult.SUCCESS
    assert export("old") is SpanExportResult.SUCCESS
    assert names_of(uri) == ["span 0", "span 0", "span 1", "span 1"]


@pytest.mark.parametrize("mutual", [False, True], ids=["tls", "mtls"])
@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_rust_client(protocol, mutual, gateway, empty_database, ours, strangers, server, client):
    uri, ports = empty_database("sqlite"), Ports()
    asked = {"client_ca_file": str(ours.cert_file)} if mutual else {}
    gateway(uri, protected(uri, ports, tls=tls(server, **asked), auth=tokens("good")), ports)
    program = os.environ.get("OTLP_CLIENT_BIN") or Path(os.environ.get("OTEL_MLFLOW_BIN", ROOT / "target/debug/otel-mlflow")).parent / "examples/otlp_client"

    def run(token, identity):
        env = {
            **os.environ,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"https://127.0.0.1:{getattr(ports, protocol)}",
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{token}",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": str(ours.cert_file),
            "OTEL_EXPORTER_OTLP_TIMEOUT": "5000",
        }
        if identity:
            env |= {"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(identity.cert_file), "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(identity.key_file)}
        subprocess.run([program, protocol], env=env, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)

    shown = client if mutual else None
    run("wrong", shown)
    if mutual:
        run("good", None)
        run("good", strangers.client())
    assert names_of(uri) == []
    run("good", shown)
    assert names_of(uri) == ["answer a question", "chat gpt-4o-mini"]


def test_answers_to_wrong_credentials(gateway, empty_database, tmp_path):
    """Over HTTP and gRPC: who shows nothing, or something wrong, is told what to show, and nothing is stored."""
    uri, ports = empty_database("sqlite"), Ports()
    (tmp_path / "users").write_text("# of the staging cluster\nada:lovelace\n")
    auth = {"bearertokenauth": {"token": "good"}, "basicauth": {"htpasswd": {"file": str(tmp_path / "users")}}}
    one = gateway(uri, protected(uri, ports, auth=auth), ports)
    basic = lambda pair: "Basic " + base64.b64encode(pair.encode()).decode()
    request = trace_request()
    body = request.SerializeToString()
    bad = [None, "Bearer bad", "Bearer goo", "Basic good", basic("ada:byron"), basic("eve:lovelace"), "good", "Bearer"]
    plain = channel(ports)
    for value in bad:
        headers = {} if value is None else {"authorization": value}
        status, said, answer = post(ports, body, headers=headers)
        assert status == 401, (value, answer)
        assert said["www-authenticate"].count("realm=") == 2 and said["content-type"] == "application/x-protobuf"
        assert b"authorization" in answer, "the answer does not say what is missing"
        refused = code(plain, request, tuple(headers.items()))
        assert refused.code() is grpc.StatusCode.UNAUTHENTICATED, (value, refused)
        assert "www-authenticate" in dict(refused.initial_metadata() or ()) | dict(refused.trailing_metadata() or ())
    # The same whatever is asked for: strangers learn nothing.
    assert plain_http("GET", f"http://127.0.0.1:{ports.http}/nothing")[0] == 401
    status, said, answer = post(ports, b"{}", headers={"content-type": "application/json"})
    assert (status, said["content-type"]) == (401, "application/json") and b'"code":16' in answer.replace(b" ", b"")
    assert metric(one, 'otel_mlflow_receiver_refused_requests_total{component="otlp",reason="unauthenticated"}') == 2 * len(bad) + 2
    assert stored(uri, request, seconds=0) == 0
    for value in ("Bearer good", basic("ada:lovelace")):
        request = trace_request()
        assert post(ports, request.SerializeToString(), headers={"authorization": value})[0] == 200
        call(plain, trace_request(), (("authorization", value),))
        assert stored(uri, request) == 2


def test_strangers_are_refused_and_harm_nothing(gateway, empty_database, ours, strangers, server, client):
    """No certificate, one of another authority, an expired one, a server's own, no TLS at all."""
    uri, ports = empty_database("sqlite"), Ports()
    one = gateway(uri, protected(uri, ports, tls=tls(server, client_ca_file=str(ours.cert_file))), ports)
    request = trace_request()
    body = request.SerializeToString()
    for stranger in (None, strangers.client(), ours.client("late", expired=True), ours.server("not-a-client")):
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            post(ports, body, context(ours, stranger))
        with channel(ports, ours, stranger) as refused:
            assert code(refused, request, timeout=3).code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        post(ports, body)
    with channel(ports) as plain:
        assert code(plain, request, timeout=3).code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    # A client that trusts another authority refuses this server.
    with pytest.raises(ssl.SSLError):
        post(ports, body, context(strangers, client))
    assert stored(uri, request, seconds=0) == 0
    assert post(ports, body, context(ours, client))[0] == 200
    with channel(ports, ours, client) as good:
        call(good, request)
    assert stored(uri, request) == 2
    # Each of the four over HTTP and gRPC, and what is no TLS: counted, and told once, not each time.
    assert metrics(one, "receiver_refused_connections_total") >= 9
    assert one.process.output().count("connections came to no request") <= 3
    assert "panicked" not in one.process.output()


def test_tls_to_a_plain_port_fails_cleanly(gateway, empty_database, ours):
    uri, ports = empty_database("sqlite"), Ports()
    one = gateway(uri, ports=ports)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        post(ports, b"", context(ours))
    request = trace_request()
    assert one.post(request.SerializeToString())[0] == 200
    assert stored(uri, request) == 2


def test_the_least_version_of_tls(gateway, empty_database, ours, server):
    uri, ports = empty_database("sqlite"), Ports()
    gateway(uri, protected(uri, ports, tls=tls(server, min_version="1.3")), ports)
    old = context(ours)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        post(ports, b"", old)
    assert post(ports, trace_request().SerializeToString(), context(ours))[0] == 200


@pytest.mark.parametrize("address", ["0.0.0.0", "[::]", ""])
def test_nobody_listens_for_others_without_protection(address, tmp_path, server):
    ports = Ports()
    for key, listener in (("receivers.otlp.protocols.http", "http"), ("extensions.admin", "admin")):
        settings = config("sqlite:///mlflow.db", ports)
        place = settings["extensions"]["admin"] if listener == "admin" else settings["receivers"]["otlp"]["protocols"]["http"]
        place["endpoint"] = f"{address}:{getattr(ports, listener)}"
        file = tmp_path / "gateway.yaml"

        def run(*arguments):
            file.write_text(yaml.safe_dump(settings))
            return subprocess.run([binary(), *arguments, "--config", file], capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=tmp_path)

        for arguments in ((), ("validate",)):
            done = run(*arguments)
            assert done.returncode == 2 and f"{key}.endpoint" in done.stderr and "`insecure: true`" in done.stderr, done.stderr
        ways_out = [("insecure", True)] + ([("tls", tls(server)), ("auth", tokens("t"))] if listener == "http" else [])
        for way, value in ways_out:
            place[way] = value
            assert run("validate").returncode == 0, way
            del place[way]
    assert not (tmp_path / "mlflow.db").exists()


def test_files_that_cannot_be_used_are_named(tmp_path, ours, server):
    """At the start, and by `doctor` beforehand."""
    other = ours.server("other")
    empty = tmp_path / "empty"
    empty.write_text("")
    cases = [
        ({"tls": tls(server, client_ca_file=str(empty))}, "tls.client_ca_file", "no certificate"),
        ({"tls": {"cert_file": str(server.cert_file), "key_file": str(other.key_file)}}, "tls.key_file", "do not fit together"),
        ({"tls": {"cert_file": str(server.key_file), "key_file": str(server.key_file)}}, "tls.cert_file", "no certificate"),
        ({"tls": {"cert_file": "/nowhere/tls.crt", "key_file": str(server.key_file)}}, "tls.cert_file", "cannot be read"),
        ({"auth": {"bearertokenauth": {"filename": str(empty)}}}, "auth.bearertokenauth.filename", "no token"),
    ]
    for listener, key, says in cases:
        file = tmp_path / "gateway.yaml"
        file.write_text(yaml.safe_dump(protected("sqlite:///mlflow.db", Ports(), **listener)))
        for arguments in ((), ("doctor",)):
            done = subprocess.run([binary(), *arguments, "--config", file], capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=tmp_path, timeout=60)
            said = done.stdout + done.stderr
            assert done.returncode == 1 and key in said and says in said, said
            assert "PRIVATE KEY" not in said


# --- secrets ----------------------------------------------------------------------------------------------------------


def test_secrets_are_shown_nowhere(gateway, empty_database, workspace, tmp_path):
    """A known secret in every key that takes one, inline, from the environment and from a file: it is in no output."""
    numbers = iter(range(100))
    canaries: list[str] = []

    def secret() -> str:
        canaries.append(f"canary{next(numbers):02}hush")
        return canaries[-1]

    env = {"CANARY_TOKEN": secret(), "CANARY_URI": f"postgresql://user:{secret()}@127.0.0.1:{free_port()}/mlflow"}
    (tmp_path / "secret").write_text(secret())
    (tmp_path / "tokens").write_text(secret())
    (tmp_path / "users").write_text(f"ada:{secret()}")
    uri, ports, dead = empty_database("sqlite"), Ports(), free_port()
    auth = {
        "bearertokenauth": {"token": "${env:CANARY_TOKEN}", "tokens": [secret(), f"${{file:{tmp_path}/secret}}"], "filename": str(tmp_path / "tokens")},
        "basicauth": {"htpasswd": {"inline": f"grace:{secret()}", "file": str(tmp_path / "users")}},
    }
    settings = protected(uri, ports, auth=auth)
    settings["service"]["telemetry"] = {"logs": {"level": "debug"}}
    settings["exporters"] |= {
        "mlflow/server": {"tracking_uri": f"http://127.0.0.1:{dead}", "auth": {"username": "u", "password": secret()}, "headers": {"x-key": secret()}},
        "mlflow/token": {"tracking_uri": f"http://user:{secret()}@127.0.0.1:{dead}", "auth": {"token": secret()}},
        "mlflow/database": {"tracking_uri": "${env:CANARY_URI}"},
        "otlp": {"endpoint": f"http://127.0.0.1:{dead}", "headers": {"authorization": secret()}},
        "otlphttp": {"endpoint": f"http://127.0.0.1:{dead}", "headers": {"authorization": secret()}},
    }
    for name in ("mlflow/server", "mlflow/token", "otlp", "otlphttp"):
        settings["exporters"][name]["retry_on_failure"] = {"initial_interval": "100ms", "max_elapsed_time": "1s"}
    settings["service"]["pipelines"]["traces/all"] = {"receivers": ["otlp"], "exporters": list(settings["exporters"])}
    one = gateway(uri, settings, ports, env=env, ready=False)
    one.process.wait_for(lambda: answers(one.admin("/livez")), "answer to /livez")
    outputs = {}

    def ask(name):
        for path in ("/readyz", "/metrics", "/livez"):
            outputs[f"{path} {name}"] = plain_http("GET", one.admin(path))[2].decode()

    # Right, wrong and half-right credentials; failing exporters.
    for number, canary in enumerate([env["CANARY_TOKEN"], "wrong", canaries[0] + "x"]):
        status, headers, said = post(ports, trace_request().SerializeToString(), headers={"authorization": f"Bearer {canary}"})
        outputs[f"answer {number}"] = f"{status} {headers} {said.decode(errors='replace')}"
    ask("after failures")
    # A reload that is refused because of values that hold secrets.
    broken = yaml.safe_load(yaml.safe_dump(settings))
    broken["exporters"]["mlflow/database"]["tracking_uri"] = f"postgres//user:{secret()}@x/y"
    broken["exporters"]["mlflow/token"]["auth"] = [secret()]
    broken["exporters"]["otlp"]["headers"] = {"bad name": secret()}
    for protocol in broken["receivers"]["otlp"]["protocols"].values():
        protocol["auth"]["bearertokenauth"]["tokens"] = [f"{secret()} with spaces"]
        protocol["auth"]["bearertokenauth"]["tokn"] = secret()
    series = 'otel_mlflow_reloads_total{what="configuration",outcome="refused"}'
    one.file.write_text(yaml.safe_dump(broken))
    os.kill(one.process.pid, signal.SIGHUP)
    one.process.wait_for(lambda: metric(one, series) > 0, "refused reload")
    ask("after a refused reload")
    for name, some in (("good", settings), ("broken", broken)):
        file = tmp_path / f"{name}.yaml"
        file.write_text(yaml.safe_dump(some))
        for command in ("validate", "doctor", "schema", "components"):
            done = subprocess.run(
                [binary(), command, "--config", file], capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=tmp_path, env={**os.environ, **env}, timeout=300,
            )
            outputs[f"{command} {name}"] = done.stdout + done.stderr
    for text in ("hush hush", "ada:$2y$05$hush", "hush"):
        (tmp_path / "users").write_text(text)
        os.kill(one.process.pid, signal.SIGHUP)
    one.terminate()
    outputs["log"] = one.process.output()
    assert "not reloaded" in outputs["log"] and "DEBUG" in outputs["log"]
    for name, text in outputs.items():
        assert text, f"{name} says nothing"
        for canary in [*canaries, *(base64.b64encode(f"{user}:{canary}".encode()).decode() for user in ("u", "user", "ada", "grace") for canary in canaries)]:
            assert canary not in text, f"{canary} is in {name}:\n{text[:3000]}"
