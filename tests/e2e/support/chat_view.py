"""What MLflow's UI shows in the chat view of a span, by the rules of MLflow 3.17.2.

The UI takes the inputs and outputs of a span for a conversation if every message is of OpenAI's form (`content`,
`tool_calls`) or of OpenTelemetry's (`parts`, of known types only); otherwise it shows no chat at all.
"""

import json
from dataclasses import dataclass, field


@dataclass
class Shown:
    """One message as a reader sees it."""

    role: str
    text: str | None = None
    # (id, name, arguments)
    calls: list = field(default_factory=list)
    # Which call a tool's message answers.
    answers: str | None = None


def chat(span) -> list[Shown]:
    """The whole conversation of a span, inputs first; `mlflow.chat.messages` stands for both."""
    whole = span.attributes.get("mlflow.chat.messages")
    if whole is not None:
        return [shown(message) for message in messages(whole)]
    return [shown(message) for value in (span.inputs, span.outputs) for message in messages(value)]


def messages(value) -> list:
    assert isinstance(value, list) and value, f"the UI shows no chat for {value!r}"
    return value


def shown(message: dict) -> Shown:
    assert message["role"] in ("system", "user", "assistant", "tool"), message
    if "parts" in message and message.get("content") is None:
        return of_parts(message)
    content = text_of(message.get("content"))
    calls = [(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"])) for call in message.get("tool_calls", [])]
    return Shown(message["role"], content, calls, message.get("tool_call_id"))


def text_of(content) -> str | None:
    """Pictures are shown as such; here, as the Markdown that the view makes of them."""
    if content is None or isinstance(content, str):
        return content
    texts = [part["text"] if part["type"] == "text" else f"![]({part['image_url']['url']})" for part in content]
    return "\n\n".join(texts)


def of_parts(message: dict) -> Shown:
    assert message["parts"], f"the UI shows no chat with {message}"
    found = Shown(message["role"])
    for part in message["parts"]:
        if part["type"] == "text":
            assert isinstance(part["content"], str), part
            found.text = part["content"] if found.text is None else f"{found.text}\n\n{part['content']}"
        elif part["type"] == "tool_call":
            found.calls.append((part.get("id"), part["name"], part.get("arguments")))
        elif part["type"] == "tool_call_response":
            response = part["response"]
            found.answers = part.get("id")
            found.text = response if isinstance(response, str) else json.dumps(response)
        else:
            raise AssertionError(f"the UI shows no chat with {part}")
    return found


def tools(span) -> list[str]:
    """Names of the tools that the view lists as offered to the model."""
    offered = span.attributes.get("mlflow.chat.tools") or []
    assert all(tool["type"] == "function" and "name" in tool.get("function", {}) for tool in offered), f"the UI shows none of {offered}"
    return [tool["function"]["name"] for tool in offered]


def exceptions(span) -> list[tuple[str, str]]:
    """Types and messages of the exceptions that the view of events shows as such."""
    events = [event.attributes for event in span.events if event.name == "exception"]
    return [(attributes["exception.type"], attributes["exception.message"]) for attributes in events]
