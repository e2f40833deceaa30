"""The real Python openai-swarm: two agents and a hand-over, through the gateway, read back with MLflow's client."""

import json
import subprocess
import sys

import pytest

import test_clients
from support import fake_openai
from support.gateway import ROOT
from support.mlflow_server import traces_of

APP = test_clients.APP.with_name("swarm_app.py")
ASKED = ["You are a helpful agent.", "Only speak in Haikus."]


@pytest.fixture(scope="module")
def swarm(tmp_path_factory) -> str:
    """PYTHONPATH with the package."""
    made = subprocess.run([ROOT / "scripts" / "swarm"], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


@pytest.mark.parametrize("kind", test_clients.KINDS)
@pytest.mark.parametrize("instrumentation", list(test_clients.CHAT_TYPES))
def test_two_agents_of_swarm(instrumentation, kind, swarm, destinations, openai_endpoint, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", swarm)
    destination = destinations(kind)
    experiment = f"OpenAI Swarm, {instrumentation}"
    endpoint = ("http/protobuf", f"{destination.gateway.http}/v1/traces")
    sent = test_clients.run([sys.executable, APP, instrumentation], experiment, endpoint, openai_endpoint)
    [trace] = traces_of(destination.client, experiment)
    assert trace.info.trace_id == sent["swarm"] and trace.info.state.value == "OK"
    spans = sorted(trace.data.spans, key=lambda span: span.start_time_ns)
    root, first, second = spans
    assert root.name == "request swarm" and {first.parent_id, second.parent_id} == {root.span_id}
    for span, instructions in zip([first, second], ASKED):
        assert span.span_type == test_clients.CHAT_TYPES[instrumentation]
        assert instructions in json.dumps(span.inputs) and "I want to talk to agent B." in json.dumps(span.inputs)
    assert "transfer_to_agent_b" in json.dumps(first.outputs)
    assert "Agent B" in json.dumps(second.inputs) and fake_openai.ANSWER in json.dumps(second.outputs)
    assert {name: 2 * count for name, count in test_clients.TOKENS.items()}.items() <= trace.info.token_usage.items()
