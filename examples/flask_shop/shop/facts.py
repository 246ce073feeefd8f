"""The facts of a tea: a page for which the shop itself asks the gateway."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, current_app

from claude_code_gateway import Caller, Gateway, Principal
from shop.teas import Tea, find

FACTS = Principal("shop.facts", profile="plain", usd_per_day=1)
SCHEMA = {
    "type": "object",
    "properties": {
        "celsius": {"type": "integer"},
        "minutes": {"type": "integer"},
        "caffeine": {"type": "string", "enum": ["none", "some", "much"]},
    },
    "required": ["celsius", "minutes", "caffeine"],
    "additionalProperties": False,
}

pages = Blueprint("facts", __name__)


@pages.get("/teas/<name>/facts")
def show(name: str) -> dict[str, Any]:
    """Answer with the facts of a tea. They are the same for everybody, so the shop asks once."""
    tea = find(name)
    known: dict[str, Any] = current_app.extensions.setdefault("facts", {})
    if name not in known:
        known[name] = ask(current_app.extensions["wrapper"], tea)
    return dict(known[name])


def ask(gateway: Gateway, tea: Tea) -> Any:
    """Return facts that match SCHEMA. Raises ApiError, also if the answer does not match."""
    answer = gateway.chat.complete(
        [{"role": "user", "content": f"How is {tea.title} from {tea.origin} best brewed?"}],
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "facts", "strict": True, "schema": SCHEMA},
        },
        caller=Caller(FACTS),
    )
    return json.loads(answer.text)
