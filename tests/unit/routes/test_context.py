"""The request's id: a new one, or the client's own."""

import pytest

from tests.support.scripted_server import (
    CHAT_PATH,
    KEY,
    ScriptedServer,
)

pytestmark = pytest.mark.packages


def every_response():
    """Yield a response of each kind."""
    server = ScriptedServer(api_key=KEY)
    crashing = ScriptedServer(KeyError("x"))
    yield ScriptedServer().ask
    yield lambda **options: ScriptedServer().ask(stream=True, **options)
    yield lambda **options: crashing.ask(**options)
    yield lambda **options: server.ask(**options)
    yield lambda **options: ScriptedServer().client.post(CHAT_PATH, data="{", **options)
    yield lambda **options: server.client.get("/v1/nothing", **options)
    yield lambda **options: server.client.get(CHAT_PATH, **options)
    yield lambda **options: server.client.options(CHAT_PATH, **options)
    yield lambda **options: server.client.get("/health", **options)


@pytest.mark.parametrize("index", range(9))
def test_every_response_has_an_id(index):
    """Every response bears a request id: a new one, or the client's own."""
    ask = list(every_response())[index]
    ids = [ask().headers["x-request-id"] for _ in range(2)]
    assert all(one.startswith("req_") for one in ids)
    assert ids[0] != ids[1]
    assert ask(headers={"X-Request-Id": "my-id_7"}).headers["x-request-id"] == "my-id_7"


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, "id;drop", "\u00e9", "a.b"])
def test_bad_ids(sent):
    """An id that might harm a log or a header is not echoed."""
    assert (
        ScriptedServer()
        .ask(headers={"x-request-id": sent})
        .headers["x-request-id"]
        .startswith("req_")
    )
