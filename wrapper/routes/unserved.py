"""The unserved: paths of OpenAI's API that the gateway does not serve, and what to use instead."""

from __future__ import annotations

from typing import NoReturn

from flask import Blueprint, request, url_for

from wrapper.errors import UnknownUrl
from wrapper.routes.error_handlers import CHAT_ENDPOINT

# By the first segment of a path: why there is nothing, and what to use. {} is the path of chat
# completions.
UNSERVED = {
    "embeddings": "Claude has no embeddings; use an embedding model of another provider, such as "
    "Voyage AI, or a local one, and set the base URL for embeddings to its.",
    "audio": "Claude neither hears nor speaks; use a speech service, and send its text to {}.",
    "images": "Claude makes no images; use an image model of another provider. Claude can look at "
    "images: send them as image_url parts to {}.",
    "videos": "Claude makes no videos; use a video model of another provider.",
    "moderations": "Claude has no moderation model; use one of another provider, or ask Claude for "
    "its judgement at {}.",
    "realtime": "Claude has no realtime voice; use {} with stream.",
    "responses": "This gateway does not serve the Responses API; use {}, with session_id in place "
    "of previous_response_id.",
    "conversations": "This gateway does not serve conversations; use {} with session_id.",
    "completions": "This gateway does not serve text completions; use {}, with the prompt as a "
    "user message.",
    "messages": "This gateway does not serve Anthropic's Messages API; use {}.",
    "files": "This gateway keeps no files; use {}, with the data in a file or image_url part.",
    "uploads": "This gateway keeps no files; use {}, with the data in a file or image_url part.",
    "batches": "This gateway has no batches; use {} for each request.",
    "assistants": "This gateway has no assistants; use {} with session_id.",
    "threads": "This gateway has no threads; use {} with session_id.",
    "vector_stores": "This gateway has no vector stores; use {}, with the text that is relevant.",
    "fine_tuning": "Claude cannot be fine-tuned here; say what you need in a system message at {}.",
}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_RULE = f"/<any({', '.join(UNSERVED)}):resource>"

unserved = Blueprint("unserved", __name__)


# Flask prefers a rule without variables: an app's own page at such a path is served.
@unserved.route(_RULE, methods=METHODS)
@unserved.route(f"{_RULE}/<path:rest>", methods=METHODS)
def refuse(resource: str, rest: str = "") -> NoReturn:
    """Say what to use in place of a path that is not served."""
    why = UNSERVED[resource].format(url_for(CHAT_ENDPOINT))
    raise UnknownUrl(f"There is nothing at {request.method} {request.path[:200]}. {why}")
