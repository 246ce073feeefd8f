"""The current request: its id is a new one, or the client's own."""

import pytest

from tests.support.scripted_server import (
    CHAT_PATH,
    KEY,
    ScriptedServer,
)

pytestmark = pytest.mark.packages


def response_requests():
    """Yield a function for each kind of response, which requests one."""
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
    """Every response carries a request id: a new one, or the client's own."""
    ask = list(response_requests())[index]
    ids = [ask().headers["x-request-id"] for _ in range(2)]
    assert all(id_.startswith("req_") for id_ in ids)
    assert ids[0] != ids[1]
    assert ask(headers={"X-Request-Id": "my-id_7"}).headers["x-request-id"] == "my-id_7"


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, "id;drop", "\u00e9", "a.b"])
def test_invalid_ids(sent):
    """An id that could corrupt a log or a header is not echoed."""
    assert (
        ScriptedServer()
        .ask(headers={"x-request-id": sent})
        .headers["x-request-id"]
        .startswith("req_")
    )
