"""POST /v1/responses, as OpenAI's own library uses it."""

import pytest
from openai import APIStatusError
from pydantic import BaseModel

from tests.support.responses import PATH, ask, client_of, stream
from tests.support.scripted_server import ScriptedServer, error_of
from wrapper import errors
from wrapper.services.events import (
    CallDelta,
    CallStarted,
    Ended,
    Ending,
    ReasoningDelta,
    Started,
    TextDelta,
    Thought,
)
from wrapper.services.spent import Usage

ENDED = Ended(Ending.DONE, Usage(input=3, output=2), 0.001)
CALLED = Ended(Ending.CALLS, Usage(input=3, output=2), 0.001)
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}


class Shape(BaseModel):
    a: int


def test_create():
    """The library reads the text, the usage and the status of a response."""
    response = client_of(ScriptedServer()).responses.create(model="sonnet", input="Hi")
    assert response.output_text == "Hello."
    assert (response.status, response.usage.total_tokens) == ("completed", 5)


def test_headers():
    """A response has the same headers as a chat completion."""
    headers = ask(ScriptedServer()).headers
    assert headers["x-cost-usd"] == "0.001000000"
    assert headers["server-timing"].startswith("queue;")


def test_stream():
    """The library's stream adds up to the same response."""
    steps = (ReasoningDelta("Hm."), Thought("Hm.", "s"), TextDelta("Hel"), TextDelta("lo."), ENDED)
    server = ScriptedServer(Started("m"), *steps)
    asked = {"model": "sonnet", "input": "Hi", "reasoning": {"summary": "auto"}}
    with client_of(server).responses.stream(**asked) as events:
        texts = [event.delta for event in events if event.type == "response.output_text.delta"]
        response = events.get_final_response()
    assert texts == ["Hel", "lo."]
    assert response.output_text == "Hello."
    assert response.output[0].summary[0].text == "Hm."


def test_calls():
    """The library reads calls, streamed or not."""
    call = (CallStarted(0, "toolu_1", "f"), CallDelta(0, '{"a":'), CallDelta(0, "1}"))
    server = ScriptedServer(Started("m"), TextDelta("So."), *call, CALLED)
    client = client_of(server)
    whole = client.responses.create(model="sonnet", input="Hi", tools=[TOOL])
    with client.responses.stream(model="sonnet", input="Hi", tools=[TOOL]) as events:
        streamed = events.get_final_response()
    for response in (whole, streamed):
        message, called = response.output
        assert message.content[0].text == "So."
        assert (called.call_id, called.name, called.arguments) == ("toolu_1", "f", '{"a":1}')


def test_parse():
    """The library parses a structured answer."""
    server = ScriptedServer(Started("m"), TextDelta('{"a": 3}'), ENDED)
    response = client_of(server).responses.parse(model="sonnet", input="Hi", text_format=Shape)
    assert response.output_parsed == Shape(a=3)


@pytest.mark.parametrize("streamed", [False, True])
def test_bad_answer(streamed):
    """A structured answer that does not fit is an error, never an answer."""
    server = ScriptedServer(Started("m"), TextDelta("no JSON"), ENDED, retry_bad_answers=False)
    form = {"type": "json_schema", "name": "s", "strict": True, "schema": Shape.model_json_schema()}
    if streamed:
        failed = stream(server, text={"format": form})[-1]
        assert failed["type"] == "response.failed"
        assert failed["response"]["error"]["code"] == "server_error"
    else:
        error_of(ask(server, text={"format": form}), 502)


def test_failure_before_the_stream():
    """A failure before the model begins is the status of the response."""
    server = ScriptedServer(script=lambda turn: [errors.Overloaded("busy", retry_after=3)])
    assert error_of(ask(server, stream=True), 503)["code"] == "overloaded"


def test_failure_within_the_stream():
    """A failure in mid-stream is response.failed, after which nothing comes."""
    steps = [Started("m"), TextDelta("a"), errors.UpstreamFailed("broke")]
    events = stream(ScriptedServer(script=lambda turn: steps))
    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["error"] == {"code": "server_error", "message": "broke"}
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


def test_incomplete():
    """The library learns that an answer was cut."""
    cut = Ended(Ending.LENGTH, Usage(), 0.0)
    response = client_of(ScriptedServer(Started("m"), TextDelta("a"), cut)).responses.create(
        model="sonnet", input="Hi", max_output_tokens=1
    )
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.output_text == "a"


def test_error():
    """The library raises the error for a mistake, with the path of the input."""
    client = client_of(ScriptedServer())
    with pytest.raises(APIStatusError) as caught:
        client.responses.create(model="sonnet", input=[{"role": "robot", "content": "a"}])
    assert (caught.value.status_code, caught.value.param) == (400, "input.0.role")


def test_adapted_input():
    """What reaches the model in another form is named by the item's path."""
    response = ask(ScriptedServer(), input=[{"role": "user", "content": " "}])
    assert response.headers["x-adapted-messages"] == "input.0.content"


def test_websocket():
    """A client that prefers a WebSocket learns to use POST."""
    client = ScriptedServer().client
    response = client.get(PATH, headers={"Upgrade": "websocket", "Connection": "Upgrade"})
    assert error_of(response, 426)["code"] == "websocket_not_supported"
    response = client.get(PATH)
    assert error_of(response, 405)["code"] == "method_not_supported"
    assert "POST" in response.headers["Allow"]


def test_without_prefix():
    """Clients whose base URL lacks /v1 are served, too."""
    assert ScriptedServer().post({"input": "Hi"}, path="/responses").status_code == 200
