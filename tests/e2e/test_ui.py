"""MLflow's UI on a database that the gateway made: `mlflow ui` opens it without a migration and shows the traces."""

import json
import re

import pytest

from support.gateway import query, stored
from support.mlflow_server import MlflowServer
from support.otlp import attribute, trace_request
from support.process import http


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_ui_shows_what_the_gateway_wrote(kind, empty_database, gateway, workspace):
    uri = empty_database(kind)
    running = gateway(uri)
    request = trace_request()
    chat = request.resource_spans[0].scope_spans[0].spans[1]
    attribute(chat.attributes, "gen_ai.input.messages", json.dumps([{"role": "user", "parts": [{"type": "text", "content": "shown?"}]}]))
    chat.attributes.add(key="gen_ai.usage.input_tokens").value.int_value = 11
    chat.attributes.add(key="gen_ai.usage.output_tokens").value.int_value = 7
    assert running.post(request.SerializeToString())[0] == 200
    assert stored(uri, request) == 2
    trace_id = f"tr-{chat.trace_id.hex()}"
    before = query(uri, "SELECT version_num FROM alembic_version")
    server = MlflowServer(workspace / f"ui-{kind}", uri)
    try:
        check_pages(server)
        check_calls(server, trace_id)
    finally:
        server.stop()
    assert query(uri, "SELECT version_num FROM alembic_version") == before
    assert "Running upgrade" not in server.process.output()


def check_pages(server: MlflowServer):
    status, _, page = http("GET", f"{server.url}/")
    assert status == 200
    script = re.search(rb'src="(static-files/static/js/[^"]+)"', page).group(1).decode()
    assert http("GET", f"{server.url}/{script}")[0] == 200


def check_calls(server: MlflowServer, trace_id: str):
    """The calls that the page makes to list traces, to open one, and to draw its charts."""
    api = f"{server.url}/ajax-api"

    def call(path: str, body: dict | None = None) -> dict:
        payload = json.dumps(body).encode() if body is not None else None
        status, _, answer = http("POST" if payload else "GET", f"{api}/{path}", payload, {"content-type": "application/json"})
        assert status == 200, answer
        return json.loads(answer)

    experiments = call("2.0/mlflow/experiments/search", {"max_results": 25, "view_type": "ACTIVE_ONLY"})["experiments"]
    [experiment] = [one["experiment_id"] for one in experiments if one["name"] == "e2e"]
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
    listed = call("3.0/mlflow/traces/search", {"locations": [place], "max_results": 50, "order_by": ["timestamp_ms DESC"]})["traces"]
    assert [one["trace_id"] for one in listed] == [trace_id]
    assert listed[0]["state"] == "OK"
    assert call("3.0/mlflow/traces/batchGetInfos", {"trace_ids": [trace_id]})["trace_infos"][0]["trace_id"] == trace_id
    assert call(f"3.0/mlflow/traces/get?trace_id={trace_id}")["trace"]["trace_info"]["trace_id"] == trace_id
    spans = call(f"3.0/mlflow/get-trace-artifact?request_id={trace_id}")["spans"]
    assert {span["name"] for span in spans} == {"request", "chat"}
    assert "shown?" in json.dumps(spans)
    chart = {"experiment_ids": [experiment], "view_type": "TRACES", "metric_name": "total_tokens", "aggregations": [{"aggregation_type": "SUM"}]}
    assert call("3.0/mlflow/traces/metrics", chart)["data_points"][0]["values"]["SUM"] == 18
