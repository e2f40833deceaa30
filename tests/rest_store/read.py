"""Prints the traces of an experiment as this version of MLflow's client reads them."""

import json
import sys

import mlflow

uri, experiment_id = sys.argv[1:]
mlflow.set_tracking_uri(uri)
client = mlflow.MlflowClient()


def text(value):
    return getattr(value, "value", value)


def read(found):
    trace_id = getattr(found.info, "trace_id", None) or found.info.request_id
    trace = client.get_trace(trace_id)
    names = {span.span_id: span.name for span in trace.data.spans}
    return {
        "id": trace_id,
        "state": text(getattr(trace.info, "state", None) or trace.info.status),
        "timestamp_ms": trace.info.timestamp_ms,
        "execution_time_ms": trace.info.execution_time_ms,
        "name": trace.info.tags.get("mlflow.traceName"),
        "tags": dict(trace.info.tags),
        "metadata": dict(getattr(trace.info, "trace_metadata", None) or trace.info.request_metadata),
        "request_preview": getattr(trace.info, "request_preview", None),
        "spans": [
            {
                "name": span.name,
                "parent": names.get(span.parent_id),
                "type": span.span_type,
                "status": text(span.status.status_code),
                "message": span.status.description,
                "start": span.start_time_ns,
                "end": span.end_time_ns,
                "inputs": span.inputs,
                "outputs": span.outputs,
                "events": [event.name for event in span.events],
            }
            for span in sorted(trace.data.spans, key=lambda span: span.name)
        ],
    }


traces = [read(found) for found in client.search_traces(experiment_ids=[experiment_id])]
runs = client.search_runs([experiment_id])
linked = {
    run.info.run_id: sorted(
        getattr(found.info, "trace_id", None) or found.info.request_id
        for found in client.search_traces(
            experiment_ids=[experiment_id], filter_string=f"attributes.run_id = '{run.info.run_id}'"
        )
    )
    for run in runs
}
print(json.dumps({"traces": sorted(traces, key=lambda trace: trace["timestamp_ms"]), "linked": linked}))
