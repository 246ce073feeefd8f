"""Write thinking blocks as one opaque text, which a client keeps and sends back."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable
from typing import Any

from wrapper.services.turn import RedactedThinking, Thinking

ThinkingPart = Thinking | RedactedThinking

# The version of the form. Other texts are another gateway's, or OpenAI's.
THINKING_PREFIX = "ccg1."
MOST_BYTES = 4 * 1024 * 1024
# What a part takes beside its texts.
_OVERHEAD = 128
_KINDS: dict[str, type[ThinkingPart]] = {"thinking": Thinking, "redacted": RedactedThinking}


def dump_thinking(parts: Iterable[ThinkingPart]) -> str:
    """Return *parts* as a text. It is opaque, not secret: the model's API signs what it holds."""
    kinds = {kind: name for name, kind in _KINDS.items()}
    blocks = [{"kind": kinds[type(part)], **vars(part)} for part in parts]
    data = zlib.compress(json.dumps(blocks).encode())
    return THINKING_PREFIX + base64.urlsafe_b64encode(data).decode()


def load_thinking(text: str) -> tuple[ThinkingPart, ...]:
    """Return the parts in *text*, which begins with THINKING_PREFIX.

    Raises ValueError where it was changed or holds more than MOST_BYTES.
    """
    data = base64.b64decode(text.removeprefix(THINKING_PREFIX), altchars=b"-_", validate=True)
    expander = zlib.decompressobj()
    try:
        expanded = expander.decompress(data, MOST_BYTES)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if not expander.eof:
        raise ValueError("it is too long, or incomplete")
    blocks = json.loads(expanded)
    if not isinstance(blocks, list):
        raise ValueError("it holds no blocks")
    return tuple(map(_part, blocks))


def expanded_size(parts: Iterable[Any]) -> int:
    """Return about how many characters the thinking among *parts* has."""
    thinking = (part for part in parts if isinstance(part, Thinking | RedactedThinking))
    return sum(_OVERHEAD + sum(map(len, vars(part).values())) for part in thinking)


def _part(block: Any) -> ThinkingPart:
    if not isinstance(block, dict) or not all(isinstance(v, str) for v in block.values()):
        raise ValueError("a block is no object of texts")
    try:
        return _KINDS[block.pop("kind")](**block)
    except (KeyError, TypeError) as error:
        raise ValueError(f"a block is unknown: {error}") from None
