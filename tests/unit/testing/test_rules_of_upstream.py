"""The scripted upstream's rules: which requests it refuses, and why."""

import base64
import struct

import pytest

from wrapper.testing.rules import IMAGE_BYTES, MODELS, TOOL_NAME, Refusal, check, find_model

USUAL = "claude-sonnet-4-5-20250929"
OLD = "claude-3-5-sonnet-20241022"
ADAPTIVE = "claude-opus-4-7"
NEWEST = "claude-sonnet-5-5"
ASKED = {"role": "user", "content": "Hi"}
ANSWERED = {"role": "assistant", "content": "Hello"}
THINKING = {"type": "enabled", "budget_tokens": 1024}
USE = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
TOOL = {"name": "f", "input_schema": {"type": "object"}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "1"}


def body(*messages, **fields):
    return {"max_tokens": 2000, "messages": list(messages or [ASKED]), **fields}


def blocks(*content, role="user"):
    return {"role": role, "content": list(content)}


def text(content):
    return {"type": "text", "text": content}


def image(data, kind="base64"):
    source = {"type": kind, "media_type": "image/png", "data": data}
    return {"type": "image", "source": source}


def png(width, height):
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR"
    return base64.b64encode(head + struct.pack(">II", width, height) + bytes(40)).decode()


def choice(kind, *names, **fields):
    """Return a request that offers the tools *names* with a `tool_choice` of *kind*."""
    tools = [{"name": name, "input_schema": {"type": "object"}} for name in names]
    named = {"name": fields.pop("name")} if "name" in fields else {}
    return body(tools=tools, tool_choice={"type": kind, **named}, **fields)


def calls(*after):
    return body(ASKED, blocks(USE, role="assistant"), *after, tools=[TOOL])


VALID = {
    "a question": (body(), USUAL),
    "blocks": (body(blocks(text("a"), text(" b"))), USUAL),
    "a conversation": (body(ASKED, ANSWERED, ASKED), USUAL),
    "two questions": (body(ASKED, ASKED), USUAL),
    "a system text": (body(system="Be brief."), USUAL),
    "a system block": (body(system=[text("Be brief.")]), USUAL),
    "sampling": (body(temperature=0.5, top_k=3), USUAL),
    "both samplings of an old model": (body(temperature=0.5, top_p=0.5), OLD),
    "edges of temperature": (body(temperature=1), USUAL),
    "stop texts": (body(stop_sequences=["a", " b"]), USUAL),
    "no stop texts": (body(stop_sequences=None), USUAL),
    "thinking": (body(thinking=THINKING), USUAL),
    "thinking at temperature 1": (body(thinking=THINKING, temperature=1), USUAL),
    "thinking with a high top_p": (body(thinking=THINKING, top_p=0.95), USUAL),
    "adaptive thinking": (body(thinking={"type": "adaptive"}), NEWEST),
    "no thinking": (body(thinking={"type": "disabled"}), ADAPTIVE),
    "a tool": (body(tools=[{"name": "f", "input_schema": {"type": "object"}}]), USUAL),
    "a tool of the API's own": (body(tools=[{"type": "bash_1", "name": "bash"}]), USUAL),
    "a free choice": (choice("auto", "f", thinking=THINKING), USUAL),
    "a choice of nothing": (choice("none", "f", thinking=THINKING), USUAL),
    "a choice of nothing among nothing": (choice("none"), USUAL),
    "a forced choice": (choice("any", "f"), USUAL),
    "a forced choice without thinking": (
        choice("any", "f", thinking={"type": "disabled"}),
        USUAL,
    ),
    "a named choice": (choice("tool", "f", "g", name="g"), USUAL),
    "a tool's result": (calls(blocks(RESULT, text("so?"))), USUAL),
    "an empty tool's result": (calls(blocks({**RESULT, "content": []})), USUAL),
    "a system message": (body(ASKED, {"role": "system", "content": "s"}), NEWEST),
    "a small image": (body(blocks(image(png(8000, 8000)))), USUAL),
    "a image by its address": (body(blocks(image("", "url"))), USUAL),
    "a image of another kind": (body(blocks(image("AAAA"))), USUAL),
    "a document": (body(blocks({"type": "document", "source": {}})), USUAL),
}


@pytest.mark.parametrize(("valid", "model"), VALID.values(), ids=VALID)
def test_valid(valid, model):
    """A request that the API accepts is not refused."""
    check(valid, model)


REFUSED = {
    "no limit": ({"messages": [ASKED]}, USUAL, "max_tokens"),
    "a limit of nothing": (body(max_tokens=0), USUAL, "max_tokens"),
    "a limit in a text": (body(max_tokens="9"), USUAL, "max_tokens"),
    "a true limit": (body(max_tokens=True), USUAL, "max_tokens"),
    "a blank stop text": (body(stop_sequences=["a", "\n"]), USUAL, "non-whitespace"),
    "no messages": (body() | {"messages": []}, USUAL, "at least one message"),
    "only a system message": (
        body({"role": "system", "content": "s"}),
        NEWEST,
        "at least one message",
    ),
    "the assistant first": (body(ANSWERED, ASKED), USUAL, "first message"),
    "the assistant last": (body(ASKED, ANSWERED), "claude-sonnet-4-6", "prefill"),
    "an unknown role": (body(ASKED, {"role": "tool", "content": "1"}), USUAL, "messages.1.role"),
    "a system message in an older model": (
        body(ASKED, {"role": "system", "content": "s"}),
        USUAL,
        "messages.1.role",
    ),
    "an empty message": (body(ASKED, {"role": "user", "content": ""}), USUAL, "messages.1: "),
    "no blocks": (body(blocks()), USUAL, "non-empty content"),
    "a blank message": (body({"role": "user", "content": " "}), USUAL, "non-whitespace"),
    "an empty block": (body(blocks(text("a"), text(""))), USUAL, "must be non-empty"),
    "a blank block": (body(blocks(text("a"), text("\n"))), USUAL, "non-whitespace"),
    "a blank system block": (body(system=[text("")]), USUAL, "must be non-empty"),
    "a blank tool's result": (
        calls(blocks({**RESULT, "content": [text("")]})),
        USUAL,
        "must be non-empty",
    ),
    "a high temperature": (body(temperature=1.1), USUAL, "temperature: range"),
    "a low temperature": (body(temperature=-0.1), USUAL, "temperature: range"),
    "both samplings": (body(temperature=0.5, top_p=0.5), USUAL, "cannot both be specified"),
    "temperature in a newer model": (body(temperature=1), ADAPTIVE, "`temperature` is deprecated"),
    "top_p in a newer model": (body(top_p=1), NEWEST, "`top_p` is deprecated"),
    "top_k in a newer model": (body(top_k=1), NEWEST, "`top_k` is deprecated"),
    "thinking with temperature": (
        body(thinking=THINKING, temperature=0),
        USUAL,
        "only be set to 1",
    ),
    "thinking with a low top_p": (body(thinking=THINKING, top_p=0.9), USUAL, "0.95"),
    "too little thinking": (
        body(thinking={"type": "enabled", "budget_tokens": 1023}),
        USUAL,
        "equal to 1024",
    ),
    "thinking without a budget": (body(thinking={"type": "enabled"}), USUAL, "equal to 1024"),
    "too much thinking": (body(thinking=THINKING, max_tokens=1024), USUAL, "must be greater than"),
    "a budget in a newer model": (body(thinking=THINKING), ADAPTIVE, "enabled"),
    "no thinking in the newest models": (body(thinking={"type": "disabled"}), NEWEST, "disabled"),
    "a tool's bad name": (
        body(tools=[{"name": "a b", "input_schema": {"type": "object"}}]),
        USUAL,
        "should match pattern",
    ),
    "a tool's long name": (
        body(tools=[{"name": "a" * 129, "input_schema": {"type": "object"}}]),
        USUAL,
        "should match pattern",
    ),
    "two tools of one name": (body(tools=[{"name": "f"}, {"name": "f"}]), USUAL, "unique"),
    "a tool without an object": (
        body(tools=[{"name": "f", "input_schema": {"type": "string"}}]),
        USUAL,
        "Input should be 'object'",
    ),
    "an unknown choice": (choice("required", "f"), USUAL, "tool_choice.type"),
    "a choice of no kind": (body(tool_choice={}), USUAL, "tool_choice.type"),
    "a free choice among nothing": (choice("auto"), USUAL, "while providing tools"),
    "a forced choice among nothing": (choice("any"), USUAL, "while providing tools"),
    "a choice that is not offered": (choice("tool", "f", name="g"), USUAL, "'g' not found"),
    "a named choice without a name": (choice("tool", "f"), USUAL, "not found"),
    "a forced choice with thinking": (
        choice("any", "f", thinking=THINKING),
        USUAL,
        "forces tool use",
    ),
    "a named choice with adaptive thinking": (
        choice("tool", "f", name="f", thinking={"type": "adaptive"}),
        NEWEST,
        "forces tool use",
    ),
    "a call without its result": (calls(ASKED), USUAL, "without `tool_result`"),
    "a result too late": (calls(ASKED, blocks(RESULT)), USUAL, "without `tool_result`|unexpected"),
    "a result of no call": (body(blocks(RESULT)), USUAL, "unexpected `tool_use_id`"),
    "a call where there are no tools": (
        calls(blocks(RESULT)) | {"tools": []},
        USUAL,
        "must define tools",
    ),
    "a big image": (body(blocks(image("A" * (IMAGE_BYTES + 4)))), USUAL, "5 MB"),
    "a wide image": (body(blocks(image(png(8001, 1)))), USUAL, "8000 pixels"),
    "a high image": (body(blocks(image(png(1, 8001)))), USUAL, "8000 pixels"),
    "a image in a tool's result": (
        calls(blocks({**RESULT, "content": [image(png(8001, 1))]})),
        USUAL,
        "8000 pixels",
    ),
}


@pytest.mark.parametrize(("wrong", "model", "reason"), REFUSED.values(), ids=REFUSED)
def test_refused(wrong, model, reason):
    """A request that the API refuses is refused with its reason."""
    with pytest.raises(Refusal, match=reason) as caught:
        check(wrong, model)
    assert (caught.value.status, caught.value.kind) == (400, "invalid_request_error")


@pytest.mark.parametrize(
    ("model_id", "name"),
    [
        *((name, name) for name in MODELS),
        ("claude-sonnet-4-20250514", "claude-sonnet-4"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-opus-4-5@20251101", "claude-opus-4-5"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("anthropic/claude-opus-4-7", "claude-opus-4-7"),
    ],
)
def test_models(model_id, name):
    """A model is found by its name, by an id with a date, and by a provider's id."""
    assert find_model(model_id) is MODELS[name]


@pytest.mark.parametrize(
    "model_id", ["", "gpt-4", "claude", "claude-sonnet-4-9", "claude-opus-41", "myclaude-opus-4-7"]
)
def test_unknown_models(model_id):
    """An unknown model is refused with 404."""
    with pytest.raises(Refusal, match="model: ") as caught:
        check(body(), model_id)
    assert (caught.value.status, caught.value.kind) == (404, "not_found_error")


@pytest.mark.parametrize("name", ["f", "get_weather-2", "a" * 128])
def test_tool_names(name):
    """A tool's name has up to 128 letters, digits, underscores and hyphens."""
    assert TOOL_NAME.fullmatch(name)
