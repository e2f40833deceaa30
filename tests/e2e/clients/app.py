"""A small application that calls OpenAI, traced by one of the instrumentations that people use.

  app.py genai|openinference|openllmetry|mlflow

Everything else comes from the standard environment variables: OPENAI_BASE_URL, OTEL_SERVICE_NAME,
OTEL_EXPORTER_OTLP_* (endpoint, protocol, headers). Prints the trace ids of its requests, one `name trace_id` a line.
"""

import os
import sys
from contextlib import contextmanager

import openai

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "unit": {"type": "string"}}, "required": ["city"]},
    },
}
QUESTION = [{"role": "system", "content": "Answer in one sentence."}, {"role": "user", "content": "What is the capital of France?"}]


def chat(client):
    client.chat.completions.create(model="gpt-4o-mini", messages=QUESTION, temperature=0.2, max_tokens=100)


def chat_stream(client):
    stream = client.chat.completions.create(model="gpt-4o-mini", messages=QUESTION, stream=True, stream_options={"include_usage": True})
    for _ in stream:
        pass


def tool_call(client):
    client.chat.completions.create(model="gpt-4o-mini", messages=QUESTION, tools=[WEATHER])


def tool_call_stream(client):
    stream = client.chat.completions.create(model="gpt-4o-mini", messages=QUESTION, tools=[WEATHER], stream=True, stream_options={"include_usage": True})
    for _ in stream:
        pass


def embeddings(client):
    client.embeddings.create(model="text-embedding-3-small", input="Paris", encoding_format="float")


def responses(client):
    client.responses.create(model="gpt-4o-mini", input="What is the capital of France?")


def error(client):
    try:
        client.chat.completions.create(model="error-429", messages=QUESTION)
    except openai.RateLimitError:
        return
    raise AssertionError("the endpoint did not answer 429")


CALLS = [chat, chat_stream, tool_call, tool_call_stream, embeddings, responses, error]


def otel(instrument):
    """Sets up an OpenTelemetry SDK as an application would; gives (span context manager, flush)."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    if os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"] == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    instrument()
    tracer = trace.get_tracer("e2e.app")

    @contextmanager
    def request(name):
        with tracer.start_as_current_span(f"request {name}") as span:
            yield f"tr-{span.get_span_context().trace_id:032x}"

    return request, provider.shutdown


def genai():
    from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

    os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "span_only"
    return otel(lambda: OpenAIInstrumentor().instrument())


def openinference():
    from openinference.instrumentation.openai import OpenAIInstrumentor

    return otel(lambda: OpenAIInstrumentor().instrument())


def openllmetry():
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor

    return otel(lambda: OpenAIInstrumentor().instrument())


def mlflow():
    import mlflow as sdk

    sdk.openai.autolog()

    @contextmanager
    def request(name):
        with sdk.start_span(name=f"request {name}") as span:
            yield span.trace_id

    return request, sdk.flush_trace_async_logging if "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" not in os.environ else _flush_provider


def _flush_provider():
    from mlflow.tracing.provider import provider

    provider.get().force_flush()


def main():
    request, finish = {"genai": genai, "openinference": openinference, "openllmetry": openllmetry, "mlflow": mlflow}[sys.argv[1]]()
    client = openai.OpenAI(max_retries=0, api_key="sk-fake")
    for call in CALLS:
        with request(call.__name__) as trace_id:
            call(client)
        print(call.__name__, trace_id)
    finish()


if __name__ == "__main__":
    main()
