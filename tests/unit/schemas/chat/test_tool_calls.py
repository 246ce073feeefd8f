"""Tool calls: empty ids and names, arguments as an object, null results."""

import pytest

from tests.support.scripted_server import USER, ScriptedServer, error_of
from wrapper.services.turn import ToolCall, ToolResult


def called(*calls):
    tool_calls = [
        {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
        for id_, name, arguments in calls
    ]
    return {"role": "assistant", "content": None, "tool_calls": tool_calls}


def result(call_id, content):
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def parts_of(*messages):
    server = ScriptedServer()
    response = server.ask(messages=[USER, *messages])
    assert response.status_code == 200, response.text
    parts = [part for message in server.engine.turns[0].messages for part in message.parts]
    return parts[1:], response.headers.get("x-adapted-messages")


def test_empty_ids():
    """Calls with empty ids and their results get new ids; STRICT_PARAMS refuses them."""
    sent = [called(("", "f", "{}"), ("", "g", "{}")), result("", "a"), result("", "b")]
    (f, g, first, second), adapted = parts_of(*sent)
    assert (f.name, g.name, f.id != g.id) == ("f", "g", True)
    assert (first, second) == (ToolResult(f.id, ("a",)), ToolResult(g.id, ("b",)))
    assert adapted == "messages.1.tool_calls.0.id, messages.1.tool_calls.1.id"
    error = error_of(ScriptedServer(strict_params=True).ask(messages=[USER, *sent]), 400)
    assert error["param"] == "messages.1.tool_calls.0.id"


def test_empty_names():
    """A call with an empty function name keeps its result."""
    (call, tool_result), adapted = parts_of(called(("c", "", "{}")), result("c", "a"))
    assert (call, tool_result) == (ToolCall("c", "unknown_function", "{}"), ToolResult("c", ("a",)))
    assert adapted == "messages.1.tool_calls.0.function.name"
    function = {"role": "function", "name": "", "content": "a"}
    (call, tool_result), _ = parts_of(
        {"role": "assistant", "function_call": {"name": "", "arguments": ""}}, function
    )
    assert (call.name, tool_result) == ("unknown_function", ToolResult(call.id, ("a",)))


@pytest.mark.parametrize("text", ['{"a":1}', '{"n":1234567890123456789.25,"s":"ä"}'])
def test_arguments_as_an_object(text):
    """Arguments may be an object instead of text, and keep every digit of their numbers."""
    body = '{"messages": [{"role":"user","content":"Hi"}, {"role":"assistant","tool_calls":'
    body += f'[{{"id":"c","type":"function","function":{{"name":"f","arguments":{text}}}}}]}},'
    body += '{"role":"tool","tool_call_id":"c","content":"a"}]}'
    server = ScriptedServer()
    assert server.post(body).status_code == 200
    call = server.engine.turns[0].messages[1].parts[0]
    assert isinstance(call, ToolCall)
    assert call.arguments.replace(" ", "") == text


def test_null_results():
    """A result with null or missing content has no text."""
    call = called(("c", "f", "{}"))
    for tool_result in (result("c", None), {"role": "tool", "tool_call_id": "c"}):
        assert parts_of(call, tool_result)[0][1] == ToolResult("c", ())
