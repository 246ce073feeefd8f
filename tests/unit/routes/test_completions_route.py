"""POST /v1/completions, OpenAI's older API."""

import inspect
import json

import pytest
from openai.resources.completions import Completions

from tests.support.log_records import records_of
from tests.support.responses import client_of
from tests.support.scripted_server import DONE, ScriptedServer, error_of, frames_of
from wrapper.errors import UpstreamFailed
from wrapper.schemas.completions.parameters import PARAMETERS
from wrapper.schemas.completions.request import CompletionRequestSchema
from wrapper.schemas.parameters import Kind
from wrapper.services.events import Ended, Ending, Started, TextDelta
from wrapper.services.spent import Usage
from wrapper.services.turns.request_log import RequestLog
from wrapper.testing.engine import answer

PATH = "/v1/completions"
OF_LIBRARY = {"self", "extra_headers", "extra_query", "extra_body", "timeout"}
ASKS = {"presence_penalty": 1, "frequency_penalty": 1, "seed": 3, "user": "a"}
REFUSED = {
    "suffix": "end",
    "logprobs": 0,
    "logit_bias": {"50256": -100},
    "best_of": 2,
    "session_id": "a",
}


def ask(server, **fields):
    return server.post({"prompt": "Hi", **fields}, path=PATH)


def test_completion():
    """OpenAI's library reads the text and the tokens of a completion."""
    completion = client_of(ScriptedServer()).completions.create(model="sonnet", prompt="Hi")
    (choice,) = completion.choices
    assert (choice.text, choice.finish_reason) == ("Hello.", "stop")
    assert (completion.object, completion.usage.total_tokens) == ("text_completion", 5)
    assert completion.id.startswith("cmpl-")


def test_logged_prompts(caplog):
    """With LOG_PROMPTS the log has all prompts of a request."""
    caplog.set_level("INFO", "wrapper.services.turns.request_log")
    ask(ScriptedServer(log_prompts=True), prompt=["one", "two"], n=2)
    (line,) = records_of(caplog, RequestLog)
    assert [*map(tuple, line.facts["messages"])] == [("user", "one"), ("user", "two")]


def test_prompts():
    """Each prompt is answered n times, the first one first."""
    server = ScriptedServer(script=lambda turn: answer(f"to {turn.messages[0].parts[0]}"))
    response = ask(server, prompt=["one", "two"], n=2)
    choices = response.json["choices"]
    assert [choice["index"] for choice in choices] == [0, 1, 2, 3]
    assert [choice["text"] for choice in choices] == ["to one", "to one", "to two", "to two"]
    assert response.json["usage"]["total_tokens"] == 20


@pytest.mark.parametrize("streamed", [False, True])
def test_echo(streamed):
    """With echo, each prompt comes before its answer."""
    server = ScriptedServer(script=lambda turn: answer("!"))
    response = ask(server, prompt=["one", "two"], echo=True, stream=streamed)
    if streamed:
        chunks = [frame for frame in frames_of(response) if isinstance(frame, dict)]
        choices = [choice for chunk in chunks for choice in chunk["choices"]]
    else:
        choices = response.json["choices"]
    texts = {index: "".join(c["text"] for c in choices if c["index"] == index) for index in (0, 1)}
    assert texts == {0: "one!", 1: "two!"}


def test_stream():
    """A stream's chunks add up to the completion, and end with its usage and [DONE]."""
    server = ScriptedServer(Started("m"), TextDelta("Hel"), TextDelta("lo."), DONE)
    frames = frames_of(ask(server, stream=True, stream_options={"include_usage": True}))
    assert frames.pop() == "data: [DONE]"
    *chunks, last = frames
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "Hello."
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, "stop"]
    assert {chunk["usage"] for chunk in chunks} == {None}
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 5)
    assert len({frame["id"] for frame in frames}) == 1


def test_length():
    """An answer that was cut says so."""
    cut = Ended(Ending.LENGTH, Usage(), 0.0)
    response = ask(ScriptedServer(Started("m"), TextDelta("a"), cut), max_tokens=1)
    assert response.json["choices"][0]["finish_reason"] == "length"


def test_fields():
    """Limits, sampling and stop sequences reach the turn."""
    server = ScriptedServer()
    ask(server, max_tokens=9, temperature=0.5, top_p=0.5, stop="x", model="haiku")
    (turn,) = server.engine.turns
    sampling = turn.sampling
    assert (sampling.max_tokens, sampling.temperature, sampling.top_p) == (9, 0.5, 0.5)
    assert (sampling.stop, turn.model) == (("x",), "haiku")


def test_failure_within_the_stream():
    """A failure in mid-stream is an error in OpenAI's shape."""
    steps = [Started("m"), TextDelta("a"), UpstreamFailed("broke")]
    frames = frames_of(ask(ScriptedServer(script=lambda turn: steps), stream=True))
    assert frames[-1]["error"]["message"] == "broke"


def test_blank_prompt():
    """What is adapted has this API's name."""
    assert ask(ScriptedServer(), prompt=" ").headers["x-adapted-messages"] == "prompt"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": [[1, 2]]}, "prompt"),
        ({"prompt": ["a"] * 33}, "prompt"),
        ({"n": 9}, "n"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"claude": {"prefill": True}}, "claude.prefill"),
        ({"claude": {"compact": True}}, "claude.compact"),
    ],
)
def test_refused_values(fields, param):
    """A value that is not valid is a 400 that names its path."""
    assert error_of(ask(ScriptedServer(), **fields), 400)["param"] == param


def test_table_is_complete():
    """The table has every parameter of the library's method, and the schema a field for each."""
    theirs = set(inspect.signature(Completions.create).parameters) - OF_LIBRARY
    assert theirs - set(PARAMETERS) == set()
    fields = set(CompletionRequestSchema().fields)
    assert fields == set(PARAMETERS) - set(PARAMETERS.of(Kind.REFUSED))


@pytest.mark.parametrize("name", PARAMETERS.of(Kind.IGNORED))
def test_ignored(name):
    """A parameter without effect is named, unless its value asks for nothing."""
    server = ScriptedServer()
    assert ask(server, **{name: ASKS[name]}).headers["x-ignored-params"] == name
    for value in (*PARAMETERS[name].neutral, None):
        assert "x-ignored-params" not in ask(server, **{name: value}).headers


@pytest.mark.parametrize("name", PARAMETERS.of(Kind.REFUSED))
def test_refused(name):
    """A parameter that cannot be honoured is a 400, unless its value asks for nothing."""
    server = ScriptedServer()
    error = error_of(ask(server, **{name: REFUSED[name]}), 400)
    assert (error["param"], error["code"]) == (name, "unsupported_parameter")
    for value in (*PARAMETERS[name].neutral, None):
        assert ask(server, **{name: value}).status_code == 200


def test_many_places():
    """Prompts that need more places than there are, are refused at once."""
    server = ScriptedServer(max_concurrent_turns=2)
    assert ask(server, prompt=["a", "b"]).status_code == 200
    error = error_of(ask(server, prompt=["a", "b"], n=2), 400)
    assert json.dumps(error).count("MAX_CONCURRENT_TURNS") == 1
