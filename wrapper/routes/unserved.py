"""Paths of the APIs that the gateway does not serve, and what to use instead."""

from __future__ import annotations

from typing import NoReturn

from flask import Blueprint, request, url_for

from wrapper.errors import UnknownUrl
from wrapper.routes.error_handlers import CHAT_ENDPOINT, MESSAGES_ENDPOINT

# Why a path with this first segment is not served, and what to use instead. {} is the path of chat
# completions.
UNSERVED = {
    "embeddings": "Claude has no embeddings; use an embedding model of another provider, such as "
    "Voyage AI, or a local one, and point the client's base URL for embeddings to it.",
    "audio": "Claude has no speech models; use a speech service, and send its text to {}.",
    "images": "Claude does not generate images; use an image model of another provider. Claude can "
    "read images: send them as image_url parts to {}.",
    "videos": "Claude does not generate videos; use a video model of another provider.",
    "moderations": "Claude has no moderation model; use one of another provider, or ask Claude for "
    "its judgement at {}.",
    "realtime": "Claude has no realtime API; use {} with stream.",
    "conversations": "This gateway does not serve conversations; use {} with session_id.",
    "uploads": "This gateway takes files in one piece; upload yours with POST files. To show the "
    "model a file or an image, use {}, with the data in a file or image_url part.",
    "assistants": "This gateway has no assistants; use {} with session_id.",
    "threads": "This gateway has no threads; use {} with session_id.",
    "vector_stores": "This gateway has no vector stores; use {}, with the relevant text in it.",
    "fine_tuning": "Claude cannot be fine-tuned here; give instructions in a system message at {}.",
}
# The same for paths below /messages. {} is the path of messages.
UNSERVED_MESSAGES = {
    "count_tokens": "Only the model's API can count exactly, and Claude Code, which talks to it, "
    "asks it about prompts of its own alone; a wrong number would be worse than none. Use `usage` "
    "in answers of {}.",
    "batches": "Batches of {} are in OpenAI's form: upload their requests with POST files, and "
    "create a batch with POST batches.",
}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_RULE = f"/<any({', '.join(UNSERVED)}):resource>"
_MESSAGES_RULE = f"/messages/<any({', '.join(UNSERVED_MESSAGES)}):resource>"

unserved = Blueprint("unserved", __name__)


# Flask prefers rules without variables, so an app's own page at such a path is still served.
@unserved.route(_RULE, methods=METHODS)
@unserved.route(f"{_RULE}/<path:rest>", methods=METHODS)
def refuse(resource: str, rest: str = "") -> NoReturn:
    """Explain why the path is not served, and what to use instead."""
    _refuse(UNSERVED[resource].format(url_for(CHAT_ENDPOINT)))


@unserved.route(_MESSAGES_RULE, methods=METHODS)
@unserved.route(f"{_MESSAGES_RULE}/<path:rest>", methods=METHODS)
def refuse_message(resource: str, rest: str = "") -> NoReturn:
    """Explain why the path below /messages is not served, and what to use instead."""
    _refuse(UNSERVED_MESSAGES[resource].format(url_for(MESSAGES_ENDPOINT)))


def _refuse(reason: str) -> NoReturn:
    raise UnknownUrl(f"There is nothing at {request.method} {request.path[:200]}. {reason}")
