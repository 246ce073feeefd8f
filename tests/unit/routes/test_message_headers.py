"""The headers of the Messages API: betas, the version, and the request's id."""

import pytest

from tests.support.scripted_server import ScriptedServer
from wrapper.testing.engine import raw_answer

BODY = {"model": "sonnet", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}


def ask(headers, stream=False, **settings):
    server = ScriptedServer(*raw_answer("Hello."), **settings)
    response = server.post({**BODY, "stream": stream}, path="/v1/messages", headers=headers)
    assert response.status_code == 200, response.text
    return response.headers


@pytest.mark.parametrize("stream", [False, True])
def test_ignored_betas(stream):
    """A beta that does not reach the model's API is named; those of the operator do."""
    betas = {"anthropic-beta": "files-api-2025-04-14,computer-use-2025-01-24"}
    headers = ask(betas, stream, messages_betas=("files-api-2025-04-14",))
    assert headers["x-ignored-params"] == "anthropic-beta: computer-use-2025-01-24"


def test_strict():
    """With STRICT_PARAMS, such a beta is refused by name."""
    server = ScriptedServer(*raw_answer("Hello."), strict_params=True)
    headers = {"anthropic-beta": "files-api-2025-04-14"}
    response = server.post(BODY, path="/v1/messages", headers=headers)
    assert response.status_code == 400
    assert "anthropic-beta: files-api-2025-04-14" in response.json["error"]["message"]


def test_version():
    """An anthropic-version is taken, and none is needed."""
    assert "x-ignored-params" not in ask({"anthropic-version": "2023-06-01"})


@pytest.mark.parametrize("stream", [False, True])
def test_request_id(stream):
    """An answer carries the request's id under both names."""
    headers = ask({"x-request-id": "req-7"}, stream)
    assert (headers["request-id"], headers["x-request-id"]) == ("req-7", "req-7")
