"""Loose shapes: empty ids and names, arguments as an object, null results, documents."""

import base64

import pytest

from tests.support.scripted_server import USER, ScriptedServer, error_of
from wrapper.services.turn import Document, ToolCall, ToolResult

PDF = base64.b64encode(b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>").decode()


def called(*calls):
    made = [
        {"id": one, "type": "function", "function": {"name": name, "arguments": arguments}}
        for one, name, arguments in calls
    ]
    return {"role": "assistant", "content": None, "tool_calls": made}


def result(call_id, content):
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def parts_of(*messages):
    server = ScriptedServer()
    response = server.ask(messages=[USER, *messages])
    assert response.status_code == 200, response.text
    parts = [part for one in server.engine.turns[0].messages for part in one.parts]
    return parts[1:], response.headers.get("x-adapted-messages")


def test_empty_ids():
    """Calls without an id get one, their results in order, and are named; strict refuses them."""
    sent = [called(("", "f", "{}"), ("", "g", "{}")), result("", "a"), result("", "b")]
    (f, g, first, second), adapted = parts_of(*sent)
    assert (f.name, g.name, f.id != g.id) == ("f", "g", True)
    assert (first, second) == (ToolResult(f.id, ("a",)), ToolResult(g.id, ("b",)))
    assert adapted == "messages.1.tool_calls.0.id, messages.1.tool_calls.1.id"
    error = error_of(ScriptedServer(strict_params=True).ask(messages=[USER, *sent]), 400)
    assert error["param"] == "messages.1.tool_calls.0.id"


def test_empty_names():
    """A call without a function's name keeps its result."""
    (call, held), adapted = parts_of(called(("c", "", "{}")), result("c", "a"))
    assert (call, held) == (ToolCall("c", "unknown_function", "{}"), ToolResult("c", ("a",)))
    assert adapted == "messages.1.tool_calls.0.function.name"
    function = {"role": "function", "name": "", "content": "a"}
    (call, held), _ = parts_of(
        {"role": "assistant", "function_call": {"name": "", "arguments": ""}}, function
    )
    assert (call.name, held) == ("unknown_function", ToolResult(call.id, ("a",)))


@pytest.mark.parametrize("text", ['{"a":1}', '{"n":1234567890123456789.25,"s":"ä"}'])
def test_arguments_as_an_object(text):
    """Arguments may be an object instead of its text; no digit of a number is lost."""
    body = '{"messages": [{"role":"user","content":"Hi"}, {"role":"assistant","tool_calls":'
    body += f'[{{"id":"c","type":"function","function":{{"name":"f","arguments":{text}}}}}]}},'
    body += '{"role":"tool","tool_call_id":"c","content":"a"}]}'
    server = ScriptedServer()
    assert server.post(body).status_code == 200
    call = server.engine.turns[0].messages[1].parts[0]
    assert isinstance(call, ToolCall)
    assert call.arguments.replace(" ", "") == text


def test_null_results():
    """A result whose content is null, or missing, has no text."""
    call = called(("c", "f", "{}"))
    for held in (result("c", None), {"role": "tool", "tool_call_id": "c"}):
        assert parts_of(call, held)[0][1] == ToolResult("c", ())


@pytest.mark.parametrize(
    ("source", "document"),
    [
        (
            {"type": "base64", "media_type": "application/pdf", "data": PDF},
            Document("application/pdf", PDF, "a"),
        ),
        (
            {"type": "text", "media_type": "text/plain", "data": "100 % ä"},
            Document("text/plain", "100 % ä", "a"),
        ),
    ],
)
def test_documents(source, document):
    """A document in Anthropic's form is a file; one by its URL is refused by name."""
    part = {"type": "document", "source": source, "title": "a"}
    assert parts_of({"role": "user", "content": [part]})[0] == [document]
    message = {"role": "user", "content": [{**part, "source": {"type": "url", "url": "http://a"}}]}
    error = error_of(ScriptedServer().ask(messages=[message]), 400)
    assert error["param"] == "messages.0.content.0.source.type"
