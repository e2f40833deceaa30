"""An endpoint that answers as the OpenAI API does. The only fake of these tests.

What it answers follows from the request: tools given -> a call of the first for each city in the question, model
`error-401` and the like -> that error, a model that begins with `no-such-` -> 404; a system message that asks for two
sentences -> two, a question that asks for a score and its justification -> both.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = "Paris is the capital of France."
SECOND = "It lies on the Seine."
JUDGED = ("score: 4\njustification: It says nearly what it should.", 4, "It says nearly what it should.")
CITIES = ["Paris", "Oslo", "Rome"]
# What the model fills in, as far as a tool has parameters of these names.
ARGUMENTS = {"unit": "celsius", "location": "Seattle, WA"}
USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "total_tokens": 18,
    "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 2, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
}
RESPONSES_USAGE = {
    "input_tokens": 11,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 18,
}
ERRORS = {
    400: {"message": "Invalid value: 'temperature'", "type": "invalid_request_error", "param": "temperature", "code": "invalid_value"},
    401: {"message": "Incorrect API key provided: sk-fake.", "type": "invalid_request_error", "param": None, "code": "invalid_api_key"},
    429: {"message": "Rate limit reached for requests", "type": "requests", "param": None, "code": "rate_limit_exceeded"},
}
RESOLVED_MODEL = "gpt-4o-mini-2024-07-18"


class FakeOpenAi:
    """Serves on a free port from a thread of this process.

    `together`: answers only once so many requests wait, and repeats the question, so that answers differ.
    """

    def __init__(self, together: int = 0):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.barrier = threading.Barrier(together, timeout=30) if together else None
        # What was asked: (path, body), the first first.
        self.requests = self.server.requests = []
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests.append((self.path, dict(request)))
        model = request.get("model", "")
        if model.startswith("error-"):
            return self.error(int(model.removeprefix("error-")))
        if model.startswith("no-such-"):
            message = f"The model `{model}` does not exist or you do not have access to it."
            return self.json(404, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": "model_not_found"}})
        route = {"/v1/chat/completions": chat, "/v1/completions": completions, "/v1/embeddings": embeddings, "/v1/responses": responses}.get(self.path)
        if self.path.startswith("/openai/deployments/") and self.path.partition("?")[0].endswith("/chat/completions"):
            # The path says which deployment; the answer names the model behind it.
            request["model"] = RESOLVED_MODEL
            route = chat
        if self.server.barrier and not self.together(request):
            return self.json(503, {"error": {"message": "nobody else asks at the same time", "type": "server_error", "param": None, "code": None}}, {"x-should-retry": "false"})
        if route is None:
            return self.json(404, {"error": {"message": f"Invalid URL (POST {self.path})", "type": "invalid_request_error", "param": None, "code": None}})
        if not request.get("stream"):
            return self.json(200, route(request))
        return self.events(chat_events(request) if route is chat else responses_events(request))

    def together(self, request: dict) -> bool:
        """Whether the others came in time, too."""
        request["answer"] = f"{ANSWER} You asked: {question(request)}"
        try:
            self.server.barrier.wait()
        except threading.BrokenBarrierError:
            return False
        return True

    def error(self, status: int):
        headers = {"retry-after": "1", "x-ratelimit-remaining-requests": "0", "x-should-retry": "false"} if status == 429 else {}
        self.json(status, {"error": ERRORS[status]}, headers)

    def json(self, status: int, body: dict, headers: dict | None = None):
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.common_headers("application/json")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def events(self, events):
        self.send_response(200)
        self.common_headers("text/event-stream; charset=utf-8")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in events:
            self.chunk(event.encode())
        self.chunk(b"")

    def chunk(self, payload: bytes):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(payload), payload))
        self.wfile.flush()

    def common_headers(self, content_type: str):
        self.send_header("content-type", content_type)
        self.send_header("openai-processing-ms", "42")
        self.send_header("openai-version", "2020-10-01")
        self.send_header("x-request-id", "req_fake0001")


def answer(request: dict) -> str:
    if "justification:" in question(request):
        return JUDGED[0]
    asked = " ".join(str(message.get("content")) for message in request["messages"] if message["role"] == "system")
    return f"{ANSWER} {SECOND}" if "two sentences" in asked else ANSWER


def chat(request: dict) -> dict:
    message = {"role": "assistant", "content": request.get("answer", answer(request)), "refusal": None, "annotations": []}
    finish = "stop"
    if wants_tool(request):
        message, finish = {**message, "content": None, "tool_calls": tool_calls(request)}, "tool_calls"
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    return {**chat_head(request, "chat.completion"), "choices": [choice], "usage": USAGE}


def chat_events(request: dict):
    head = chat_head(request, "chat.completion.chunk")
    with_usage = (request.get("stream_options") or {}).get("include_usage")

    def event(choices, **more):
        extra = {"usage": None, **more} if with_usage else more
        return f"data: {json.dumps({**head, 'choices': choices, **extra})}\n\n"

    def delta(content, finish=None):
        return event([{"index": 0, "delta": content, "logprobs": None, "finish_reason": finish}])

    if wants_tool(request):
        for index, call in enumerate(tool_calls(request)):
            arguments = call["function"]["arguments"]
            begun = {**call, "index": index, "function": {**call["function"], "arguments": ""}}
            yield delta({"role": "assistant", "content": None, "tool_calls": [begun]})
            for at in range(0, len(arguments), 9):
                yield delta({"tool_calls": [{"index": index, "function": {"arguments": arguments[at:at + 9]}}]})
        yield delta({}, "tool_calls")
    else:
        yield delta({"role": "assistant", "content": "", "refusal": None})
        for word in ANSWER.split(" "):
            yield delta({"content": word if word == "Paris" else f" {word}"})
        yield delta({}, "stop")
    if with_usage:
        yield event([], usage=USAGE)
    yield "data: [DONE]\n\n"


def completions(request: dict) -> dict:
    choice = {"text": " Paris.", "index": 0, "logprobs": None, "finish_reason": "stop"}
    usage = {name: USAGE[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
    head = {"id": "cmpl-fake0001", "object": "text_completion", "created": 1760000000, "model": request["model"]}
    return {**head, "choices": [choice], "usage": usage}


def chat_head(request: dict, kind: str) -> dict:
    model = RESOLVED_MODEL if request["model"] == "gpt-4o-mini" else request["model"]
    return {"id": "chatcmpl-fake0001", "object": kind, "created": 1760000000, "model": model, "service_tier": "default", "system_fingerprint": "fp_fake"}


def wants_tool(request: dict) -> bool:
    """Whether the model would call a tool: one is offered, and none has just answered."""
    return bool(request.get("tools")) and request["messages"][-1]["role"] != "tool"


def tool_calls(request: dict) -> list:
    """A call of the first tool for each city in the question, with the arguments that it has."""
    function = request["tools"][0]["function"]
    has = (function.get("parameters") or {}).get("properties", {})
    arguments = [{"city": city, **ARGUMENTS} for city in CITIES if city in question(request)] or [{"city": "Paris", **ARGUMENTS}]
    told = [json.dumps({name: value for name, value in one.items() if name in has}) for one in arguments]
    # A tool without parameters is called once.
    return [
        {"id": f"call_fake{number}", "type": "function", "function": {"name": function["name"], "arguments": text}}
        for number, text in enumerate(dict.fromkeys(told), 1)
    ]


def question(request: dict) -> str:
    """What the user said last, as text."""
    said = next(message["content"] for message in reversed(request["messages"]) if message["role"] == "user")
    return said if isinstance(said, str) else json.dumps(said)



def embeddings(request: dict) -> dict:
    texts = request["input"] if isinstance(request["input"], list) else [request["input"]]
    vector = ([0.25, -0.5, 0.125] * request.get("dimensions", 3))[:request.get("dimensions", 3)]
    if request.get("encoding_format") == "base64":
        import base64
        import struct

        vector = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    data = [{"object": "embedding", "index": index, "embedding": vector} for index in range(len(texts))]
    return {"object": "list", "data": data, "model": request["model"], "usage": {"prompt_tokens": 5, "total_tokens": 5}}


def responses(request: dict, status: str = "completed") -> dict:
    done = status == "completed"
    text = {"type": "output_text", "text": ANSWER, "annotations": [], "logprobs": []}
    message = {"id": "msg_fake1", "type": "message", "status": "completed", "role": "assistant", "content": [text]}
    return {
        "id": "resp_fake0001", "object": "response", "created_at": 1760000000, "status": status, "error": None,
        "incomplete_details": None, "instructions": request.get("instructions"), "max_output_tokens": None,
        "model": RESOLVED_MODEL, "output": [message] if done else [], "parallel_tool_calls": True,
        "previous_response_id": None, "reasoning": {"effort": None, "summary": None}, "store": True, "temperature": 1.0,
        "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": 1.0, "truncation": "disabled",
        "usage": RESPONSES_USAGE if done else None, "user": None, "metadata": {},
    }


def responses_events(request: dict):
    number = 0

    def event(kind: str, **body):
        nonlocal number
        payload = {"type": kind, "sequence_number": number, **body}
        number += 1
        return f"event: {kind}\ndata: {json.dumps(payload)}\n\n"

    started, finished = responses(request, "in_progress"), responses(request)
    item = finished["output"][0]
    part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    yield event("response.created", response=started)
    yield event("response.in_progress", response=started)
    yield event("response.output_item.added", output_index=0, item={**item, "status": "in_progress", "content": []})
    yield event("response.content_part.added", **place, part=part)
    for word in ANSWER.split(" "):
        yield event("response.output_text.delta", **place, delta=word if word == "Paris" else f" {word}", logprobs=[])
    yield event("response.output_text.done", **place, text=ANSWER, logprobs=[])
    yield event("response.content_part.done", **place, part=item["content"][0])
    yield event("response.output_item.done", output_index=0, item=item)
    yield event("response.completed", response=finished)
