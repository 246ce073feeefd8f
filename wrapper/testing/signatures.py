"""The scripted model's signatures, which bind a thinking block to its text and to its model.

Those of the newest models also bind it to all that came before: system prompt, tools and messages.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

from wrapper.testing.rules import find_model

Body = dict[str, Any]

_KEY = b"the scripted model"
# Claude Code puts a line for its own accounting before the system prompt.
_ACCOUNTING = "x-anthropic-billing-header"


def sign(text: str, body: Body, model: str) -> str:
    """Return the signature of a thinking block with this *text* in the answer to *body*."""
    return f"{_mac(f'{model} {text}')}.{_mac(_prefix(body, body['messages']))}"


def redact(text: str, body: Body, model: str) -> str:
    """Return the data of a redacted thinking block, which hides the *text*."""
    return f"{base64.b64encode(text.encode()).decode()}.{sign(text, body, model)}"


def text_of(data: str) -> tuple[str, str]:
    """Return the text and the signature in the *data* of a redacted thinking block."""
    hidden, _, signature = data.partition(".")
    try:
        return base64.b64decode(hidden, validate=True).decode(), signature
    except ValueError:
        return "", ""


def is_signed(text: str, signature: str, model: str) -> bool:
    """Say whether *model* has thought this *text*."""
    return signature.partition(".")[0] == _mac(f"{model} {text}")


def is_bound_elsewhere(signature: str, body: Body, at: int, model: str) -> bool:
    """Say whether something changed before message *at*, which has the signed block."""
    prefix = _mac(_prefix(body, body["messages"][:at]))
    return find_model(model).bound and signature.partition(".")[2] != prefix


def _mac(text: str) -> str:
    digest = hmac.digest(_KEY, text.encode("utf-8", "surrogatepass"), hashlib.sha256)
    return base64.b64encode(digest).decode()


def _prefix(body: Body, messages: list[Body]) -> str:
    system = body.get("system") or []
    blocks = [system] if isinstance(system, str) else [block["text"] for block in system]
    texts = [text for text in blocks if not text.startswith(_ACCOUNTING)]
    return json.dumps(_unmarked([texts, body.get("tools") or [], [*map(_in_blocks, messages)]]))


def _in_blocks(message: Body) -> Body:
    """Return *message* with a text as the block that it stands for: clients change the form."""
    content = message["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return {**message, "content": blocks}


def _unmarked(value: Any) -> Any:
    """Return *value* without the marks for the prompt cache."""
    if isinstance(value, list):
        return [_unmarked(item) for item in value]
    if isinstance(value, dict):
        return {name: _unmarked(item) for name, item in value.items() if name != "cache_control"}
    return value
