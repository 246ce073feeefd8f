"""The rules of the Messages API for thinking blocks that come back, with its own messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wrapper.testing.rules import Refusal
from wrapper.testing.signatures import is_bound_elsewhere, is_signed, text_of

Body = dict[str, Any]

THINKING = ("thinking", "redacted_thinking")
# The ids of calls before which the scripted model has thought.
THOUGHTFUL = "toolu_thoughtful"
MISSING = (
    "Expected `thinking` or `redacted_thinking`, but found `{}`. When `thinking` is enabled, a "
    "final `assistant` message must start with a thinking block (preceeding the lastmost set of "
    "`tool_use` and `tool_result` blocks). We recommend you include thinking blocks from previous "
    "turns. To avoid this requirement, disable `thinking`. Please consult our documentation at "
    "https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
)
DISABLED = (
    "When thinking is disabled, an `assistant` message in the final position cannot contain "
    "`thinking`. To use thinking blocks, enable `thinking` in your request."
)
BOUND = (
    "Invalid `signature` in `thinking` block. The block is bound to a different conversation. "
    "Remove the block, or set `thinking.block_binding.prefix_mismatch_behavior` to "
    '"drop_block".'
)


def check_thinking(body: Body, model_id: str) -> None:
    """Raise Refusal if the API would refuse a thinking block of *body*, or misses one."""
    _loop(body)
    for at, message in enumerate(body["messages"]):
        blocks = _blocks(message)
        if blocks and message["role"] == "assistant" and blocks[-1]["type"] in THINKING:
            kind = blocks[-1]["type"]
            raise Refusal(
                f"messages.{at}: The final block in an assistant message cannot be `{kind}`."
            )
        for index, block in enumerate(blocks):
            if block["type"] in THINKING:
                _signature(body, block, at, index, model_id)


def _signature(body: Body, block: Body, at: int, index: int, model_id: str) -> None:
    path = f"messages.{at}.content.{index}"
    if block["type"] == "thinking":
        if "signature" not in block:
            raise Refusal(f"{path}.thinking.signature: Field required")
        text, signature = block["thinking"], block["signature"]
        why = "Invalid `signature` in `thinking` block"
    else:
        text, signature = text_of(block["data"])
        why = "Invalid `data` in `redacted_thinking` block"
    if not is_signed(text, signature, model_id):
        raise Refusal(f"{path}: {why}")
    if is_bound_elsewhere(signature, body, at, model_id):
        raise Refusal(f"{path}: {BOUND}")


def _loop(body: Body) -> None:
    """Check the tool loop at the end: it begins with thinking, or has none if that is off.

    The API refuses any loop without thinking, because its model always thinks when that is on. The
    scripted one thinks only when it is told to, so that its calls say whether it did.
    """
    assistants = list(_loop_messages(body["messages"]))
    if not assistants:
        return
    mode = (body.get("thinking") or {}).get("type")
    at, blocks = assistants[-1]
    kind = blocks[0]["type"]
    has_thought = any(block.get("id", "").startswith(THOUGHTFUL) for block in blocks)
    if mode == "enabled" and kind not in THINKING and has_thought:
        raise Refusal(f"messages.{at}.content.0.type: {MISSING.format(kind)}")
    for at, blocks in assistants:
        kinds = [block["type"] for block in blocks]
        if mode == "disabled" and set(kinds) & set(THINKING):
            raise Refusal(f"messages.{at}.content.0: {DISABLED}")


def _loop_messages(messages: list[Body]) -> Iterator[tuple[int, list[Body]]]:
    """Yield the assistant's messages of the loop, the last one first."""
    at = len(messages) - 1
    while at > 0:
        if messages[at]["role"] == "assistant":
            yield at, _blocks(messages[at])
        elif not any(block["type"] == "tool_result" for block in _blocks(messages[at])):
            return
        at -= 1


def _blocks(message: Body) -> list[Body]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
