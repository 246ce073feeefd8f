"""One caller's costly request delays nobody else."""

from __future__ import annotations

import threading
import time

from wrapper.services.json_schema.validation import CHECK_SECONDS

LEVELS = 60


def _doubling():
    """Return a schema whose check takes twice as long with each level of the answer."""
    again = {"anyOf": [{"$ref": "#/$defs/a"}] * 2}
    lists = {"anyOf": [{"type": "integer"}, {"type": "array", "items": again}]}
    properties = {"x": {"$ref": "#/$defs/a"}}
    schema = {"type": "object", "properties": properties, "$defs": {"a": lists}}
    return {"type": "json_schema", "json_schema": {"name": "slow", "schema": schema}}


def test_costly_schema(gateway):
    """A schema that takes too long to check is an error that says so, and /health still answers."""
    answers = []
    told = '{"x": ' + "[" * LEVELS + '""' + "]" * LEVELS + "}"

    def ask():
        answers.append(gateway.ask(f"[[json {told}]]", response_format=_doubling()))

    thread = threading.Thread(target=ask)
    thread.start()
    slowest = 0.0
    while thread.is_alive():
        began = time.monotonic()
        assert gateway.health()["status"]
        slowest = max(slowest, time.monotonic() - began)
    status, body = answers[0]
    assert (status, body["error"]["code"]) == (400, "schema_too_costly"), body
    assert body["error"]["param"] == "response_format"
    assert f"{CHECK_SECONDS} s" in body["error"]["message"]
    assert slowest < 5 * CHECK_SECONDS
