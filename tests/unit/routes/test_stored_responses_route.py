"""Stored responses: continued, referred to, read, listed and deleted."""

import hashlib
import json
import random

import pytest

from tests.support.responses import HI, PATH, ask, client_of, stream
from tests.support.scripted_server import ScriptedServer, error_of
from wrapper import errors
from wrapper.services.events import (
    CallDelta,
    CallStarted,
    Ended,
    Ending,
    Started,
    TextDelta,
    Thought,
)
from wrapper.services.spent import Usage
from wrapper.services.turn import Message, Thinking, ToolCall, ToolResult

USAGE = Usage(input=3, output=2)
ENDED = Ended(Ending.DONE, USAGE, 0.001)
CALLED = Ended(Ending.CALLS, USAGE, 0.001)
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
UNKNOWN = f"resp_{'0' * 32}"
STEPS = [Started("m"), TextDelta("Hello."), ENDED]
CALL_STEPS = (
    *(Started("m"), Thought("Hm.", "sig", "p"), CallStarted(0, "c1", "f")),
    *(CallDelta(0, "{}"), CALLED),
)
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "3"}


class Caller:
    """A caller of *server*, with a key if it has keys."""

    def __init__(self, server, key=""):
        self.server = server
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    def ask(self, **fields):
        return self.server.post({"input": "Hi", **fields}, path=PATH, headers=self.headers)

    def send(self, method, id_, rest=""):
        path = f"{PATH}/{id_}{rest}"
        return self.server.client.open(path, method=method, headers=self.headers)


def store(server, **fields):
    """Return a stored response."""
    response = ask(server, **fields)
    assert response.status_code == 200, response.data
    assert response.json["store"] is True
    assert "x-ignored-params" not in response.headers
    return response.json


def read(server, id_, rest=""):
    return Caller(server).send("GET", id_, rest)


def texts_of(turn):
    return [(message.role, "".join(message.parts)) for message in turn.messages]


def test_read():
    """A response is read as it was told, whole or streamed."""
    server = ScriptedServer()
    whole, streamed = store(server), stream(server)[-1]["response"]
    for response in (whole, streamed):
        assert read(server, response["id"]).json == response


def test_chain():
    """A continuation has the inputs and outputs before it, and its own instructions alone."""
    server = ScriptedServer()
    first = store(server, input="one", instructions="Be kind.")
    second = store(server, input="two", previous_response_id=first["id"])
    assert second["previous_response_id"] == first["id"]
    assert second["instructions"] is None
    store(server, input="three", previous_response_id=second["id"], instructions="Be brief.")
    last = server.engine.turns[-1]
    assert texts_of(last) == [
        *(("user", "one"), ("assistant", "Hello."), ("user", "two")),
        *(("assistant", "Hello."), ("user", "three")),
    ]
    assert last.system == "Be brief."


def test_branches():
    """Any number of responses continue one, each without the others."""
    server = ScriptedServer()
    root = store(server, input="root")["id"]
    for text in ("left", "right"):
        branch = store(server, input=text, previous_response_id=root)["id"]
        store(server, input="leaf", previous_response_id=branch)
        said = [text for role, text in texts_of(server.engine.turns[-1]) if role == "user"]
        assert said == ["root", text, "leaf"]


def test_system_items():
    """System and developer items are carried on, after the new instructions."""
    server = ScriptedServer()
    first = store(server, input=[{"role": "developer", "content": "Rhyme."}, HI])
    store(server, previous_response_id=first["id"], instructions="Be brief.")
    assert server.engine.turns[-1].system == "Be brief.\n\nRhyme."


def test_thinking_in_a_loop():
    """The output of a call continues the response, with its thinking before the call."""
    server = ScriptedServer(*CALL_STEPS)
    first = store(server, tools=[TOOL])
    assert all("encrypted_content" not in item for item in first["output"])
    store(server, input=[OUTPUT], previous_response_id=first["id"], tools=[TOOL])
    _, said, result = server.engine.turns[-1].messages
    assert said.parts == (Thinking("Hm.", "sig", "p"), ToolCall("c1", "f", "{}"))
    assert result.parts == (ToolResult("c1", ("3",)),)


@pytest.mark.parametrize("refer", ["previous", "items"])
def test_much_stored_thinking(refer, monkeypatch):
    """What is stored may not expand to more thinking than a conversation may have."""
    server = ScriptedServer(*CALL_STEPS)
    first = store(server, tools=[TOOL])
    monkeypatch.setattr("wrapper.services.messages.items.MOST_THINKING", 100)
    asked = {"input": [OUTPUT], "previous_response_id": first["id"]}
    if refer == "items":
        asked = {"input": [HI, *({"id": item["id"]} for item in first["output"]), OUTPUT]}
    error = error_of(ask(server, **asked, tools=[TOOL]), 413)
    assert error["param"] == (
        "previous_response_id" if refer == "previous" else "input.1.encrypted_content"
    )


def test_plain_stays_plain():
    """A continuation of calls runs in the profile plain, also without tools of its own."""
    server = ScriptedServer(*CALL_STEPS)
    first = store(server, tools=[TOOL])
    second = store(server, input=[OUTPUT], previous_response_id=first["id"])
    assert server.engine.turns[-1].profile == "plain"
    assert second["tools"] == []


def test_without_input():
    """A continuation needs no input; without a previous response there must be one."""
    server = ScriptedServer()
    first = store(server)["id"]
    assert server.post({"previous_response_id": first}, path=PATH).status_code == 200
    error = error_of(server.post({}, path=PATH), 400)
    assert (error["param"], error["code"]) == ("input", "missing_required_parameter")


@pytest.mark.parametrize(
    ("items", "param"),
    [
        ("Hi", "input"),
        ([{**OUTPUT, "call_id": "c2"}], "input.0.call_id"),
        ([OUTPUT, OUTPUT], "input.1.call_id"),
    ],
)
def test_unpaired(items, param):
    """A continuation must send the output of each call before it, and no other."""
    server = ScriptedServer(*CALL_STEPS)
    first = store(server, tools=[TOOL])["id"]
    error = error_of(ask(server, input=items, previous_response_id=first), 400)
    assert (error["param"], error["code"]) == (param, "invalid_value")
    assert error["message"].startswith(param)


@pytest.mark.parametrize("id_", [UNKNOWN, "resp_1", "", "x" * 500])
def test_unknown_previous_response(id_):
    """A previous response that is not there is a 400, never an empty history."""
    error = error_of(ask(ScriptedServer(), previous_response_id=id_), 400)
    assert (error["param"], error["code"]) == (
        "previous_response_id",
        "previous_response_not_found",
    )
    assert error["message"] == f"Previous response with id '{id_[:128]}' not found."


def test_deleted():
    """A deleted response is gone, and so is the path of what continues it."""
    server = ScriptedServer()
    first = store(server)["id"]
    second = store(server, previous_response_id=first)["id"]
    response = Caller(server).send("DELETE", first)
    assert response.json == {"id": first, "object": "response", "deleted": True}
    for method, rest in [("GET", ""), ("DELETE", ""), ("GET", "/input_items"), ("POST", "/cancel")]:
        error = error_of(Caller(server).send(method, first, rest), 404)
        assert (error["param"], error["code"]) == ("response_id", "response_not_found")
    error = error_of(ask(server, previous_response_id=second), 400)
    assert error["code"] == "previous_response_not_found"
    assert read(server, second).status_code == 200


def test_failed():
    """A response that failed in mid-stream says why, and cannot be continued."""
    steps = [Started("m"), TextDelta("a"), errors.UpstreamFailed("broke")]
    server = ScriptedServer(script=lambda turn: steps)
    failed = stream(server)[-1]["response"]
    assert read(server, failed["id"]).json == failed
    assert failed["error"]["message"] == "broke"
    error = error_of(ask(server, previous_response_id=failed["id"]), 400)
    assert (error["param"], error["code"]) == ("previous_response_id", "invalid_value")
    assert "begin anew" in error["message"]


def test_refused():
    """A refusal cannot be continued; the error names the response before it."""
    refusal = [Started("m"), Ended(Ending.REFUSED, USAGE, 0.001)]
    server = ScriptedServer(script=lambda turn: refusal if len(turn.messages) > 1 else STEPS)
    first = store(server)["id"]
    second = store(server, previous_response_id=first)
    assert second["incomplete_details"] == {"reason": "content_filter"}
    error = error_of(ask(server, previous_response_id=second["id"]), 400)
    assert (error["param"], error["code"]) == ("previous_response_id", "invalid_value")
    assert repr(first) in error["message"]


def test_cut():
    """An answer that was cut is continued, without the call that was not written to its end."""
    cut = Ended(Ending.LENGTH, USAGE, 0.001)
    steps = [Started("m"), TextDelta("So"), CallStarted(0, "c1", "f"), CallDelta(0, '{"a'), cut]
    server = ScriptedServer(script=lambda turn: steps if len(turn.messages) == 1 else STEPS)
    first = store(server, tools=[TOOL])
    assert first["status"] == "incomplete"
    store(server, input="Go on.", previous_response_id=first["id"])
    said = server.engine.turns[-1].messages[1]
    assert said == Message("assistant", ("So",))


def test_not_stored():
    """With store: false nothing is kept."""
    server = ScriptedServer()
    response = ask(server, store=False)
    assert response.json["store"] is False
    assert "x-ignored-params" not in response.headers
    assert read(server, response.json["id"]).status_code == 404
    events = stream(server, store=False)
    assert {e["response"]["store"] for e in events if "response" in e} == {False}
    assert read(server, events[-1]["response"]["id"]).status_code == 404


def test_ignored_store():
    """IGNORE_PARAMS does not make the gateway keep what the request says not to."""
    assert ask(ScriptedServer(ignore_params=("store",)), store=False).json["store"] is False


@pytest.mark.parametrize(
    ("setting", "asked", "stored", "named"),
    [
        ("always", None, True, False),
        ("always", True, True, False),
        ("request", None, False, False),
        ("request", True, True, False),
        ("request", False, False, False),
        ("never", None, False, False),
        ("never", True, False, True),
    ],
)
def test_setting(setting, asked, stored, named):
    """RESPONSES_STORE says which responses are kept; a wish that is not met is named."""
    server = ScriptedServer(responses_store=setting)
    response = ask(server, store=asked)
    assert response.json["store"] is stored
    assert response.headers.get("x-ignored-params") == ("store" if named else None)
    assert read(server, response.json["id"]).status_code == (200 if stored else 404)


def test_strict():
    """With STRICT_PARAMS a response that is to be stored, and cannot be, is refused."""
    server = ScriptedServer(session_store="none", strict_params=True)
    assert error_of(ask(server, store=True), 400)["param"] == "store"
    assert ask(server).json["store"] is False


@pytest.mark.parametrize("settings", [{"session_store": "none"}, {"session_max_bytes": 500}])
def test_unstorable(settings):
    """A response that cannot be kept says so, and is answered all the same."""
    server = ScriptedServer(**settings)
    response = ask(server)
    assert response.json["store"] is False
    assert response.headers["x-ignored-params"] == "store"
    assert read(server, response.json["id"]).status_code == 404
    last = stream(server)[-1]["response"]
    assert last["store"] is False


def test_too_large_in_a_stream():
    """In a stream, the last event says that the response could not be kept."""
    first, *_, last = stream(ScriptedServer(session_max_bytes=500))
    assert first["response"]["store"] is True
    assert last["response"]["store"] is False
    assert last["response"]["notes"] == {"x-ignored-params": "store"}


def test_long_path():
    """A path that is too long is kept up to there, and goes on from the last one that is."""
    server = ScriptedServer(session_max_bytes=4500)
    first = store(server, input="x" * 1500)["id"]
    longer = ask(server, input="y" * 2500, previous_response_id=first)
    assert longer.json["store"] is False
    assert ask(server, previous_response_id=longer.json["id"]).status_code == 400
    assert store(server, previous_response_id=first)


# Item references


def test_item_reference():
    """A reference stands for a stored item, with its thinking."""
    server = ScriptedServer(*CALL_STEPS)
    reasoning, call = store(server, tools=[TOOL])["output"]
    items = [HI, {"type": "item_reference", "id": reasoning["id"]}, {"id": call["id"]}, OUTPUT]
    referring = store(server, input=items)
    _, said, _ = server.engine.turns[-1].messages
    assert said.parts == (Thinking("Hm.", "sig", "p"), ToolCall("c1", "f", "{}"))
    listed = read(server, referring["id"], "/input_items?order=asc").json["data"]
    assert [item["type"] for item in listed] == [
        *("message", "reasoning", "function_call", "function_call_output"),
    ]
    assert listed[2] == call


def test_reference_to_input():
    """Items of an input can be referred to by the ids that they got."""
    server = ScriptedServer()
    (item,) = read(server, store(server, input="abc")["id"], "/input_items").json["data"]
    store(server, input=[{"id": item["id"]}])
    assert texts_of(server.engine.turns[-1]) == [("user", "abc")]


@pytest.mark.parametrize("id_", ["msg_1", f"msg_{'0' * 32}_0", "x" * 500, None])
def test_unknown_item(id_):
    """A reference to an item that is not there is a 404 that names it."""
    server = ScriptedServer()
    if id_ is None:  # another item of a stored response
        id_ = store(server)["output"][0]["id"][:-1] + "7"
    error = error_of(ask(server, input=[HI, {"type": "item_reference", "id": id_}]), 404)
    assert (error["param"], error["code"]) == ("input.1.id", "item_not_found")
    assert error["message"].startswith("input.1.id")


def test_repeated_reference():
    """An item is referred to once."""
    server = ScriptedServer()
    reference = {"id": store(server)["output"][0]["id"]}
    error = error_of(ask(server, input=[HI, reference, reference]), 400)
    assert (error["param"], error["code"]) == ("input.2.id", "invalid_value")


def test_large_references():
    """References may not gather more than one conversation may have."""
    server = ScriptedServer(Started("m"), TextDelta("x" * 700), ENDED, session_max_bytes=3000)
    ids = [store(server)["output"][0]["id"] for _ in range(5)]
    error = error_of(ask(server, input=[HI, *({"id": id_} for id_ in ids), HI]), 413)
    assert error["param"].startswith("input.")


def test_many_references():
    """References may not make the gateway read without end, however little they add."""
    server = ScriptedServer(session_max_bytes=20_000)
    noise = random.Random(7).randbytes(8_000).hex()  # which cannot be packed well
    ids = [store(server, input=noise)["output"][0]["id"] for _ in range(40)]
    for count, status in ((20, 200), (40, 413)):
        items = [HI, *({"id": id_} for id_ in ids[:count]), HI]
        assert ask(server, input=items, store=False).status_code == status


# Keys


def test_keys(tmp_path):
    """Another key's response cannot be read, continued, referred to, cancelled or deleted."""
    file = tmp_path / "keys.toml"
    file.write_text(
        "".join(
            f'[keys.{name}]\nsha256 = "{hashlib.sha256(f"sk-{name}".encode()).hexdigest()}"\n'
            for name in ("alice", "bob")
        )
    )
    file.chmod(0o600)
    server = ScriptedServer(api_keys_file=str(file))
    alice, bob = Caller(server, "sk-alice"), Caller(server, "sk-bob")
    response = alice.ask().json
    id_, item = response["id"], response["output"][0]["id"]
    for method, rest in [("GET", ""), ("DELETE", ""), ("GET", "/input_items"), ("POST", "/cancel")]:
        assert error_of(bob.send(method, id_, rest), 404)["code"] == "response_not_found"
    assert error_of(bob.ask(previous_response_id=id_), 400)["code"] == "previous_response_not_found"
    assert error_of(bob.ask(input=[HI, {"id": item}]), 404)["code"] == "item_not_found"
    assert alice.send("GET", id_).json == response


# Reading


def test_include():
    """The signed thinking is part of a stored response where the query includes it."""
    server = ScriptedServer(*CALL_STEPS)
    id_ = store(server, tools=[TOOL])["id"]
    assert "encrypted_content" not in read(server, id_).json["output"][0]
    for name in ("include", "include[]", "include[0]"):
        query = f"?{name}=reasoning.encrypted_content&include=other"
        assert read(server, id_, query).json["output"][0]["encrypted_content"].startswith("ccg1.")


def test_no_stream_of_stored():
    """A response that did not run in the background is not streamed."""
    server = ScriptedServer()
    id_ = store(server)["id"]
    error = error_of(read(server, id_, "?stream=true"), 400)
    assert (error["param"], error["code"]) == ("response_id", "invalid_value")
    assert read(server, id_, "?stream=false&starting_after=3").status_code == 200


@pytest.mark.parametrize("number", ["-1", str(2**31), "9" * 30, "x"])
def test_wrong_cursor(number):
    """A number that no event can have is refused before a store is asked for what follows it."""
    server = ScriptedServer()
    response = read(server, UNKNOWN, f"?stream=true&starting_after={number}")
    assert error_of(response, 400)["param"] == "starting_after"


def test_cancel():
    """A response does not run in the background, so it cannot be cancelled."""
    server = ScriptedServer()
    error = error_of(Caller(server).send("POST", store(server)["id"], "/cancel"), 400)
    assert (error["param"], error["code"]) == ("response_id", "invalid_value")
    assert error_of(Caller(server).send("POST", UNKNOWN, "/cancel"), 404)


def test_input_items():
    """The items of an input come by pages, the last item first unless asked otherwise."""
    server = ScriptedServer()
    items = [{"role": "user", "content": str(number)} for number in range(5)]
    previous = store(server, input="before")["id"]
    id_ = store(server, input=items, previous_response_id=previous)["id"]

    def page(query=""):
        listed = read(server, id_, f"/input_items{query}").json
        assert listed["object"] == "list"
        assert [listed["first_id"], listed["last_id"]] == [
            *(item["id"] for item in (listed["data"][0], listed["data"][-1])),
        ]
        shown = "".join(item["content"][0]["text"] for item in listed["data"])
        return shown, listed["has_more"], listed["last_id"]

    assert page()[:2] == ("43210", False)
    shown, more, last = page("?limit=2")
    assert (shown, more) == ("43", True)
    assert page(f"?limit=3&after={last}")[:2] == ("210", False)
    shown, more, last = page("?order=asc&limit=4")
    assert (shown, more) == ("0123", True)
    assert page(f"?order=asc&after={last}")[:2] == ("4", False)
    end = read(server, id_, f"/input_items?order=asc&after={page('?order=asc')[2]}").json
    assert (end["data"], end["first_id"], end["last_id"], end["has_more"]) == (
        [],
        None,
        None,
        False,
    )


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "order=up", "after=no", "limit=a"])
def test_wrong_page(query):
    """A page that cannot be is a 400 that names the parameter."""
    server = ScriptedServer()
    error = error_of(read(server, store(server)["id"], f"/input_items?{query}"), 400)
    assert error["param"] == query.partition("=")[0]


def test_library():
    """OpenAI's library stores, reads, lists, continues and deletes."""
    client = client_of(ScriptedServer())
    first = client.responses.create(model="sonnet", input="Hi", metadata={"a": "b"})
    assert client.responses.retrieve(first.id).metadata == {"a": "b"}
    (item,) = client.responses.input_items.list(first.id)
    assert item.content[0].text == "Hi"
    again = client.responses.create(model="sonnet", input="More", previous_response_id=first.id)
    assert again.previous_response_id == first.id
    client.responses.delete(first.id)
    with pytest.raises(Exception, match="404"):
        client.responses.retrieve(first.id)


def test_exact_numbers():
    """Numbers in tools that no double holds do not keep a response from being stored."""
    server = ScriptedServer()
    body = json.dumps({"input": "Hi", "tools": [TOOL]})
    exact = body.replace('"properties"', '"default": 0.12345678901234567890, "properties"')
    response = server.post(exact, path=PATH)
    assert response.status_code == 200, response.data
    assert read(server, response.json["id"]).json == response.json
