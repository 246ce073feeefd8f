"""The document shows an answer of every operation, and each is one that the gateway could give."""

from __future__ import annotations

import json

import pytest

from tests.support.response_validator import ResponseValidator
from tests.support.scripted_server import ScriptedServer

LONGEST = 2000

VALIDATOR = ResponseValidator(ScriptedServer().app)
CONTENTS = {
    (path, method, kind): content
    for path, methods in VALIDATOR.document["paths"].items()
    for method in methods
    for kind, content in VALIDATOR.described(path, method, 200)["content"].items()
}


@pytest.mark.parametrize(("path", "method", "kind"), CONTENTS)
def test_example(path, method, kind):
    """An operation's answer has an example, which is short and matches the answer's schema."""
    example = CONTENTS[path, method, kind]["example"]
    VALIDATOR.schema(path, method, 200, kind).validate(example)
    assert len(json.dumps(example)) < LONGEST


def test_schemas_are_closed():
    """An example with a field that no answer has would not match."""
    path, method, kind = "/v1/models", "get", "application/json"
    example = {**CONTENTS[path, method, kind]["example"], "made_up": 1}
    assert not VALIDATOR.schema(path, method, 200, kind).is_valid(example)
