"""POST /v1/messages, from the request to the answer."""

import json

import pytest

from tests.support.log_records import records_of
from tests.support.scripted_server import KEY, ScriptedServer
from wrapper.errors import Overloaded
from wrapper.services.events import RawEvent
from wrapper.services.turns.request_log import RequestLog
from wrapper.testing.engine import raw_answer

PATH = "/v1/messages"
HI = {"role": "user", "content": "Hi"}
LEAST = {"model": "sonnet", "max_tokens": 9, "messages": [HI]}
STEPS = raw_answer("Hello.")
EVENTS = [step.data for step in STEPS if isinstance(step, RawEvent)]


def server_of(*steps, **settings):
    return ScriptedServer(*(steps or STEPS), **settings)


def ask(server, headers=None, **fields):
    return server.post({**LEAST, **fields}, path=PATH, headers=headers)


def frames(response):
    """Return the name and the data of each frame of a stream."""
    lines = [frame.split("\n") for frame in response.text.split("\n\n")[:-1]]
    return [
        (name.removeprefix("event: "), json.loads(data.removeprefix("data: ")))
        for name, data in lines
    ]


def test_whole():
    """A whole message has what the events add up to, and its cost in a header."""
    response = ask(server_of())
    assert response.status_code == 200, response.text
    assert response.json["content"] == [{"type": "text", "text": "Hello."}]
    assert response.json["usage"] == {"input_tokens": 3, "output_tokens": 2}
    assert response.headers["x-cost-usd"] == "0.001000000"
    assert response.headers["server-timing"]


def test_stream():
    """A stream has the events as they came, each under its type, and nothing after the last."""
    response = ask(server_of(), stream=True)
    assert response.content_type == "text/event-stream; charset=utf-8"
    assert frames(response) == [(event["type"], event) for event in EVENTS]


def test_turn():
    """The turn has the body as it came, for the plain profile, and nothing else of the request."""
    server = server_of(default_profile="agent")
    ask(server, temperature=0.5, model="haiku")
    (turn,) = server.engine.turns
    assert turn.body == {**LEAST, "temperature": 0.5, "model": "haiku"}
    assert (turn.model, turn.profile, turn.messages) == ("haiku", "plain", ())
    assert turn.sampling.temperature is None


def test_catalog():
    """The model of the settings runs under the name that the client uses."""
    server = server_of(model_aliases=(("mine", "haiku"),))
    assert ask(server, model="mine").status_code == 200
    assert server.engine.turns[0].model == "haiku"
    assert ask(server, model="gpt-4o").status_code == 404


def test_error_in_a_stream():
    """An error after the answer has begun is an event, and the last one."""
    response = ask(server_of(*STEPS[:2], Overloaded("busy")), stream=True)
    (_, start), (name, data) = frames(response)
    assert start["type"] == "message_start"
    assert (name, data["type"], data["error"]["type"]) == ("error", "error", "overloaded_error")
    assert data["request_id"] == response.headers["request-id"]


def test_other_engines():
    """An engine that takes no bodies cannot serve this API, which is then not found."""
    server = server_of()
    server.engine.takes_bodies = False
    response = ask(server)
    assert response.status_code == 404
    assert response.json["error"]["type"] == "not_found_error"
    assert server.engine.turns == []


def test_keys():
    """Both headers for keys are taken, and a request without a key is not read."""
    server = server_of(api_key=KEY)
    assert ask(server).status_code == 401
    for headers in ({"x-api-key": KEY}, {"Authorization": f"Bearer {KEY}"}):
        assert ask(server, headers=headers).status_code == 200


def test_ignored():
    """Parameters that the settings ignore are not passed on, and are named."""
    server = server_of(ignore_params=("service_tier",))
    response = ask(server, service_tier="priority")
    assert response.headers["x-ignored-params"] == "service_tier"
    assert server.engine.turns[0].body == LEAST


@pytest.mark.parametrize("strict", [False, True])
def test_adapted(strict):
    """Numbers that reach the model in another form are named, or refused."""
    server = server_of(strict_params=strict)
    response = ask(server, metadata={"n": 2**60 + 1})
    if strict:
        assert response.status_code == 400
    else:
        assert response.headers["x-adapted-params"] == "metadata"


def test_server_tools():
    """Tools that run at the provider need a setting."""
    search = {"type": "web_search_20250305", "name": "web_search"}
    response = ask(server_of(), tools=[search])
    assert response.status_code == 403
    assert "MESSAGES_SERVER_TOOLS" in response.json["error"]["message"]
    server = server_of(messages_server_tools=("web_search",))
    assert ask(server, tools=[search]).status_code == 200
    assert ask(server, tools=[{"type": "web_fetch_20250910"}]).status_code == 403


def test_log(caplog):
    """The log names the client's session and user, no more than 256 characters of each."""
    caplog.set_level("INFO", "wrapper.services.turns.request_log")
    headers = {"X-Claude-Code-Session-Id": "s" * 300}
    ask(server_of(), headers=headers, metadata={"user_id": "u\n" * 200})
    facts = records_of(caplog, RequestLog)[-1].facts
    assert facts["client_session"] == "s" * 256
    assert facts["user"] == "u\n" * 128
    assert "messages" not in facts


def test_log_of_prompts(caplog):
    """With LOG_PROMPTS the log has the roles and texts of the body."""
    caplog.set_level("INFO", "wrapper.services.turns.request_log")
    messages = [HI, {"role": "assistant", "content": [{"type": "text", "text": "Ho"}, {}]}, HI]
    ask(server_of(log_prompts=True), messages=messages)
    logged = records_of(caplog, RequestLog)[-1].facts["messages"]
    assert [*map(tuple, logged)] == [("user", "Hi"), ("assistant", "Ho", "<None>"), ("user", "Hi")]
