"""The rules of the scripted model for thinking that comes back."""

import base64
from copy import deepcopy
from typing import Any

import pytest

from wrapper.testing.answer import answer_events
from wrapper.testing.rules import Refusal
from wrapper.testing.script import read_script
from wrapper.testing.thinking_rules import check_thinking

BUDGET = "claude-sonnet-4-5"
NEWEST = "claude-sonnet-5-5"
MODELS = (BUDGET, NEWEST)
RESULT = {"type": "tool_result", "tool_use_id": "toolu_thoughtful0", "content": "1"}


def answer_of(body, model):
    """Return the blocks of the scripted model's answer."""
    blocks = []
    for _, event in answer_events(read_script(body), body, model):
        if event["type"] == "content_block_start":
            blocks.append(dict(event["content_block"]))
        elif event["type"] == "content_block_delta":
            delta = event["delta"]
            name = delta["type"].removesuffix("_delta")
            if name in ("thinking", "signature", "text"):
                blocks[-1][name] = blocks[-1].get(name, "") + delta[name]
    return blocks


def loop(model):
    """Return the request after a call before which the model has thought."""
    asked = {"role": "user", "content": "[[think Hm]] [[redact Oh]] [[first Well.]] [[tool f]]"}
    thinking = {"type": "enabled" if model == BUDGET else "adaptive"}
    body = {"messages": [asked], "tools": [{"name": "f"}], "thinking": thinking}
    answer = {"role": "assistant", "content": answer_of(body, model)}
    result = {"role": "user", "content": [RESULT]}
    return deepcopy({**body, "messages": [asked, answer, result]})


def refusal(body, model):
    with pytest.raises(Refusal) as refused:
        check_thinking(body, model)
    return str(refused.value)


def test_text_or_block():
    """A text and the block that it stands for are the same conversation."""
    body = loop(NEWEST)
    text = body["messages"][0]["content"]
    body["messages"][0]["content"] = [{"type": "text", "text": text}]
    check_thinking(body, NEWEST)


@pytest.mark.parametrize("model", MODELS)
def test_unchanged(model):
    """Blocks that come back unchanged are taken."""
    body = loop(model)
    kinds = [block["type"] for block in body["messages"][1]["content"]]
    assert kinds == ["thinking", "redacted_thinking", "text", "tool_use"]
    check_thinking(body, model)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "change", [{"signature": "c2lnbmVk"}, {"signature": ""}, {"thinking": "Hm."}]
)
def test_altered(model, change):
    """A wrong signature and an altered text are refused."""
    body = loop(model)
    body["messages"][1]["content"][0] |= change
    why = "messages.1.content.0: Invalid `signature` in `thinking` block"
    assert refusal(body, model) == why


def test_no_signature():
    """A signature must be there."""
    body = loop(BUDGET)
    del body["messages"][1]["content"][0]["signature"]
    assert refusal(body, BUDGET) == "messages.1.content.0.thinking.signature: Field required"


@pytest.mark.parametrize("data", ["", "x", "?.?", base64.b64encode(b"Oh").decode()])
def test_altered_data(data):
    """Data that the model has not written is refused."""
    body = loop(BUDGET)
    body["messages"][1]["content"][1]["data"] = data
    why = "messages.1.content.1: Invalid `data` in `redacted_thinking` block"
    assert refusal(body, BUDGET) == why


def test_another_model():
    """A model takes no other model's thinking."""
    assert "Invalid `signature`" in refusal(loop(NEWEST), "claude-haiku-5-5")


def test_dropped():
    """With a budget, thinking in a loop must come back; an adaptive model does without."""
    body = loop(BUDGET)
    del body["messages"][1]["content"][:2]
    why = "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `text`."
    assert refusal(body, BUDGET).startswith(why)
    check_thinking({**body, "thinking": {"type": "disabled"}}, BUDGET)
    check_thinking({**body, "thinking": {"type": "adaptive"}}, NEWEST)


def test_disabled():
    """Without thinking, a loop may not have any."""
    body = {**loop(BUDGET), "thinking": {"type": "disabled"}}
    why = "messages.1.content.0: When thinking is disabled, an `assistant` message in the final"
    assert refusal(body, BUDGET).startswith(why)


def test_at_the_end():
    """A message may not end with thinking."""
    body = loop(BUDGET)
    blocks = body["messages"][1]["content"]
    blocks.append(blocks[0])
    assert "The final block in an assistant message" in refusal(body, BUDGET)


CHANGES: dict[str, dict[str, Any]] = {
    "system": {"system": "Be brief."},
    "tools": {"tools": []},
}


@pytest.mark.parametrize("change", CHANGES)
def test_bound(change):
    """The newest models take a block back only after the same system prompt, tools and messages."""
    body = {**loop(NEWEST), **CHANGES[change]}
    assert "bound to a different conversation" in refusal(body, NEWEST)
    check_thinking({**loop(BUDGET), **CHANGES[change]}, BUDGET)


def test_cache_marks():
    """Marks for the prompt cache are no part of the conversation."""
    body = loop(NEWEST)
    body["tools"][0]["cache_control"] = {"type": "ephemeral"}
    check_thinking(body, NEWEST)
