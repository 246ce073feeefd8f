"""The rules of the Messages API: which requests it refuses, with its own messages.

A gateway that sends such a request has a fault, which a more lenient upstream would hide.
"""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Body = dict[str, Any]


@dataclass(frozen=True)
class Model:
    """What a model accepts.

    `pair` is temperature with top_p, `budget` a number of tokens for thinking, and `prefill` an
    assistant's message at the end, which the model continues. A thinking block of a `bound` model
    is refused once anything before it has changed.
    """

    pair: bool = False
    sampling: bool = True
    budget: bool = True
    thinking_off: bool = True
    system_messages: bool = False
    prefill: bool = False
    bound: bool = False


OLD, USUAL = Model(pair=True, prefill=True), Model(prefill=True)
ADAPTIVE = Model(sampling=False, budget=False)
NEWEST = Model(sampling=False, budget=False, thinking_off=False, system_messages=True, bound=True)
MODELS = {
    "claude-3-5-haiku": OLD,
    "claude-3-5-sonnet": OLD,
    "claude-3-7-sonnet": OLD,
    "claude-sonnet-4": OLD,
    "claude-opus-4": OLD,
    "claude-sonnet-4-5": USUAL,
    "claude-haiku-4-5": USUAL,
    "claude-opus-4-5": USUAL,
    "claude-sonnet-4-6": Model(),
    "claude-opus-4-7": ADAPTIVE,
    "claude-sonnet-5-5": NEWEST,
    "claude-haiku-5-5": NEWEST,
    "claude-opus-5-5": NEWEST,
    "claude-fable-5-2": NEWEST,
}
TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
IMAGE_BYTES = 5 * 1024 * 1024
IMAGE_SIDE = 8000


class Refusal(Exception):
    """Raised when the API would refuse the request, with its status, error type and reason."""

    def __init__(self, reason: str, status: int = 400, kind: str = "invalid_request_error"):
        super().__init__(reason)
        self.status, self.kind = status, kind


def check(body: Body, model_id: str) -> None:
    """Raise Refusal if the API would refuse *body* for *model_id*."""
    model = find_model(model_id)
    _limits(body)
    _thinking(body, model)
    _sampling(body, model)
    _messages(body, model)
    _pairs(body["messages"])
    _tools(body)
    _tool_choice(body)


def find_model(model_id: str) -> Model:
    """Return the model of *model_id*, which may be a provider's id or have a date."""
    for name in sorted(MODELS, key=len, reverse=True):
        if re.search(rf"(^|[./]){re.escape(name)}(?!-?\d(?!\d))", model_id):
            return MODELS[name]
    raise Refusal(f"model: {model_id}", 404, "not_found_error")


def _limits(body: Body) -> None:
    limit = body.get("max_tokens")
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise Refusal("max_tokens: must be an integer greater than or equal to 1")
    for stop in body.get("stop_sequences") or []:
        if not stop.strip():
            raise Refusal("stop_sequences: each stop sequence must contain non-whitespace")


def _thinking(body: Body, model: Model) -> None:
    thinking = body.get("thinking") or {}
    if thinking.get("type") == "disabled" and not model.thinking_off:
        raise Refusal('"thinking.type.disabled" is not supported for this model')
    if thinking.get("type") != "enabled":
        return
    budget = thinking.get("budget_tokens", 0)
    if budget < 1024:
        raise Refusal("thinking.enabled.budget_tokens: must be greater than or equal to 1024")
    if budget >= body["max_tokens"]:
        raise Refusal("`max_tokens` must be greater than `thinking.budget_tokens`")
    if not model.budget:
        raise Refusal('"thinking.type.enabled" is not supported for this model')


def _sampling(body: Body, model: Model) -> None:
    temperature, top_p = body.get("temperature"), body.get("top_p")
    for name in ("temperature", "top_p", "top_k"):
        if body.get(name) is not None and not model.sampling:
            raise Refusal(f"`{name}` is deprecated for this model.")
    if temperature is not None and not 0 <= temperature <= 1:
        raise Refusal("temperature: range: 0..1")
    if temperature is not None and top_p is not None and not model.pair:
        raise Refusal("`temperature` and `top_p` cannot both be specified for this model.")
    if (body.get("thinking") or {}).get("type") not in ("enabled", "adaptive"):
        return
    if temperature not in (None, 1):
        raise Refusal("`temperature` may only be set to 1 when thinking is enabled")
    if top_p is not None and top_p < 0.95:
        raise Refusal("`top_p` must be greater than or equal to 0.95 when thinking is enabled")


def _messages(body: Body, model: Model) -> None:
    messages = body.get("messages") or []
    spoken = [m for m in messages if m["role"] != "system" or not model.system_messages]
    if not spoken:
        raise Refusal("messages: at least one message is required")
    if spoken[0]["role"] != "user":
        raise Refusal("messages: first message must use the user role")
    thinks = (body.get("thinking") or {}).get("type") in ("enabled", "adaptive")
    if spoken[-1]["role"] == "assistant" and (thinks or not model.prefill):
        raise Refusal("This model does not support assistant message prefill.")
    for at, message in enumerate(spoken):
        if message["role"] not in ("user", "assistant"):
            raise Refusal(f'messages.{at}.role: Input should be "user" or "assistant"')
        if not message["content"]:
            raise Refusal(f"messages.{at}: all messages must have non-empty content")
        _blocks(message["content"])
    _blocks(body.get("system") or [])


def _blocks(content: str | list[Body]) -> None:
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    for block in blocks:
        if check_block := _BLOCKS.get(block["type"]):
            check_block(block)


def _text_block(block: Body) -> None:
    if not block["text"]:
        raise Refusal("messages: text content blocks must be non-empty")
    if not block["text"].strip():
        raise Refusal("messages: text content blocks must contain non-whitespace text")


def _tool_result_block(block: Body) -> None:
    if block.get("content"):
        _blocks(block["content"])


def _image_block(block: Body) -> None:
    if block["source"]["type"] != "base64":
        return
    data = block["source"]["data"]
    if len(data) > IMAGE_BYTES:
        raise Refusal(f"image exceeds 5 MB maximum: {len(data)} bytes > {IMAGE_BYTES} bytes")
    head = base64.b64decode(data[:64])
    if head.startswith(b"\x89PNG"):
        width, height = struct.unpack(">II", head[16:24])
        if max(width, height) > IMAGE_SIDE:
            raise Refusal("image dimensions exceed max allowed size: 8000 pixels")


_BLOCKS: dict[str, Callable[[Body], None]] = {
    "text": _text_block,
    "tool_result": _tool_result_block,
    "image": _image_block,
}


def _ids(message: Body | None, kind: str, key: str) -> set[str]:
    content = message["content"] if message else []
    blocks: Iterator[Body] = (b for b in content if isinstance(b, dict) and b["type"] == kind)
    return {block[key] for block in blocks}


def _pairs(messages: list[Body]) -> None:
    for before, after in zip([None, *messages], [*messages, None], strict=True):
        asked = _ids(before, "tool_use", "id")
        answered = _ids(after, "tool_result", "tool_use_id")
        if asked - answered:
            raise Refusal(
                "`tool_use` ids were found without `tool_result` blocks immediately after: "
                + ", ".join(sorted(asked - answered))
            )
        if answered - asked:
            raise Refusal(
                "unexpected `tool_use_id` found in `tool_result` blocks: "
                + ", ".join(sorted(answered - asked))
            )


def _tools(body: Body) -> None:
    kinds = {b["type"] for m in body["messages"] for b in m["content"] if isinstance(b, dict)}
    if kinds & {"tool_use", "tool_result"} and not body.get("tools"):
        raise Refusal(
            "Requests which have `tool_use` or `tool_result` blocks in messages must define tools"
        )
    names = [tool["name"] for tool in body.get("tools") or []]
    for name in names:
        if not TOOL_NAME.fullmatch(name):
            raise Refusal(f"tools.name: String should match pattern {TOOL_NAME.pattern}: {name}")
    if len(set(names)) != len(names):
        raise Refusal("tools: Tool names must be unique.")
    for tool in body.get("tools") or []:
        schema = tool.get("input_schema", {"type": "object"})
        if schema.get("type") != "object":
            raise Refusal(f"tools.{tool['name']}.input_schema.type: Input should be 'object'")


def _tool_choice(body: Body) -> None:
    choice = body.get("tool_choice")
    if choice is None:
        return
    kind, names = choice.get("type"), [tool["name"] for tool in body.get("tools") or []]
    if kind not in ("auto", "any", "tool", "none"):
        raise Refusal("tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'")
    if kind != "none" and not names:
        raise Refusal("tool_choice: may only be specified while providing tools")
    if kind == "tool" and choice.get("name") not in names:
        raise Refusal(f"tool_choice: Tool '{choice.get('name')}' not found in provided tools")
    thinking = (body.get("thinking") or {}).get("type")
    if kind in ("any", "tool") and thinking in ("enabled", "adaptive"):
        raise Refusal("Thinking may not be enabled when tool_choice forces tool use.")
