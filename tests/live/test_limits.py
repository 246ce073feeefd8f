"""What one caller sends costs nobody else anything."""

from __future__ import annotations

import threading
import time

from wrapper.services.shapes import CHECK_SECONDS

LEVELS = 34


def _doubling():
    """Return a schema whose check takes twice as long with each level."""
    shapes = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(LEVELS)}
    properties = {"x": {"$ref": "#/$defs/d0"}}
    schema = {"type": "object", "properties": properties, "$defs": shapes | {f"d{LEVELS}": {}}}
    return {"type": "json_schema", "json_schema": {"name": "slow", "schema": schema}}


def test_costly_schema(gateway):
    """A schema that cannot be checked ends in an error that says so, and /health answers on."""
    answers = []

    def ask():
        answers.append(gateway.ask('[[json {"x": 1}]]', response_format=_doubling()))

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
    assert slowest < CHECK_SECONDS
