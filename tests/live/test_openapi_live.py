"""The OpenAPI document of a running gateway, fuzzed over HTTP with a few of the cases."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest
from hypothesis import Phase, given, settings
from schemathesis import GenerationMode
from werkzeug import Response

from tests.support.fuzzing import CHAT, REPEATED, SOUND, Fuzzing
from tests.support.server import MODEL

CASES = 15
# Headers of the server itself.
OF_SERVER = {"server", "date", "connection", "transfer-encoding"}
# The scripted model's answer fits no more than an object.
HELD = {**SOUND, "model": [MODEL], "response_format": [None, {"type": "json_object"}]}
FUZZING = Fuzzing(**HELD)
OPERATIONS = {operation.label: operation for operation in FUZZING.operations}


@pytest.mark.thorough
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("label", [CHAT, "GET /v1/sessions", "GET /v1/usage"])
def test_document(gateway, label, mode):
    """With Claude Code behind it, too, requests are answered as the document says."""

    def send(asked):
        path = f"{asked['path']}?{urlencode(asked['query_string'] or {}, doseq=True)}"
        data = json.dumps(asked["json"]).encode() if "json" in asked else asked.get("data")
        status, headers, body = gateway.call(asked["method"], path, data, asked["headers"])
        own = {name: value for name, value in headers.items() if name not in OF_SERVER}
        return Response(body, status, own)

    @given(case=OPERATIONS[label].as_strategy(generation_mode=mode))
    @settings(max_examples=CASES, phases=[Phase.generate], **REPEATED)
    def answered(case):
        FUZZING.check(case, send)

    answered()
    assert gateway.ask("Are you there?")[0] == 200
