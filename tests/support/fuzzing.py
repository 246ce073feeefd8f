"""Fuzzing: requests made from the OpenAPI document, whose answers must match the document."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import schemathesis
from hypothesis import HealthCheck
from werkzeug.exceptions import MethodNotAllowed, NotFound

from tests.support.response_validator import ResponseValidator
from tests.support.scripted_server import USER, ScriptedServer
from wrapper.openapi import path_of
from wrapper.services.events import (
    CallDelta,
    CallStarted,
    Ended,
    Ending,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolUse,
    Used,
)
from wrapper.services.json_schema.validation import misfit
from wrapper.services.spent import Spent, Usage
from wrapper.testing.calls import sample
from wrapper.testing.engine import raw_answer

CHAT, SESSION = "POST /v1/chat/completions", "{} /v1/sessions/{{session_id}}"
# Other operations take any request, so none can be wrong.
TOOLS = {"GET /v1/tools", "GET /v1/tools/config", "PUT /v1/tools/config"}
WRONG = {CHAT, "GET /v1/sessions", "GET /v1/usage", SESSION.format("GET"), SESSION.format("DELETE")}
WRONG |= TOOLS
CALLS = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
RESULT = {"role": "tool", "tool_call_id": "c", "content": "1"}
# With these values only the rest of a request can be wrong.
SOUND = {"model": ["opus", None], "messages": [[USER], [USER, CALLS, RESULT]]}
# The cases depend on the document alone, so every run has the same ones.
REPEATED: dict[str, Any] = {
    "deadline": None,
    "derandomize": True,
    "database": None,
    "suppress_health_check": list(HealthCheck),
}
USED = Usage(input=3, cache_read=1, cache_creation=1, output=2, reasoning=1)


def oblige(turn):
    """Return the steps of a turn that calls an offered function, or fits the schema it asks for."""
    if turn.body is not None:
        return raw_answer("Hello\u2028 you.")
    begun = [Started("scripted-model"), ReasoningDelta("Hm"), ToolUse("Bash", "ls")]
    used = Used({"scripted-model": Spent(USED, 0.001)})
    if turn.functions and turn.tool_choice.mode != "none":
        called = [CallStarted(0, "call_1", turn.functions[0].name), CallDelta(0, "{}")]
        return [*begun, *called, used, Ended(Ending.CALLS, USED, 0.001)]
    text, ending = "Hello\u2028 you.", Ending.DONE
    if turn.output_schema:
        text = json.dumps(sample(turn.output_schema.schema, turn.output_schema.schema))
        if misfit(turn.output_schema, text):  # a model that cannot fit the schema may refuse
            text, ending = "I cannot.", Ending.REFUSED
    return [*begun, TextDelta(text), used, Ended(ending, USED, 0.001)]


def loosened(document, held):
    """Return the document without rules between fields, and with few values for the *held* fields.

    The rules between a request's fields are too complex for the generator.
    """
    loose = json.loads(json.dumps(document))
    request = loose["components"]["schemas"]["ChatRequest"]
    del request["allOf"]
    request["properties"] |= {name: {"enum": values} for name, values in held.items()}
    return loose


class Fuzzing:
    """Requests made from a server's document, with *held* fields; `sent` counts them."""

    def __init__(self, key="", **held):
        self.server = ScriptedServer(script=oblige, api_key=key)
        self.validator = ResponseValidator(self.server.app, needs_key=bool(key))
        self.source = schemathesis.openapi.from_dict(loosened(self.validator.document, held))
        self.source.app = self.server.app
        found: Any = self.source.get_all_operations()
        self.operations = [one.ok() for one in found]
        self.sent = 0

    def check(self, case, send=None):
        """Send the case, completions also as a stream, and check the answers against the document.

        *send* returns the response to a request. Without it the app is called in process.
        """
        asked = case.as_transport_kwargs()
        for one in (asked, *_streamed(asked)):
            response = (send or self._send)(one)
            self.sent += 1
            assert response.status_code < 500, response.get_data()[:500]
            if (response.status_code, case.method) != (204, "OPTIONS"):
                self.validator.check(response, *self._reached(case, unquote(one["path"])))

    def _send(self, asked):
        return self.server.client.open(**asked, buffered=True)

    def _reached(self, case, path):
        """Return path and method of the operation reached; values in a path may lead to another."""
        adapter, operation = self.server.app.url_map.bind("localhost"), case.operation
        try:
            rule, _ = adapter.match(path, case.method, return_rule=True)
        except MethodNotAllowed:
            return case.operation.path, next(
                iter(self.validator.document["paths"][case.operation.path])
            )
        except NotFound:
            return operation.path, operation.method
        return path_of(rule), case.method.lower()


def _streamed(asked):
    """Yield the same request as a stream, if it can be one."""
    if isinstance(asked.get("json"), dict):
        yield {**asked, "json": {**asked["json"], "stream": True}}
