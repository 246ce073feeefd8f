"""The facts of a tea: a page of the shop's own, for which it asks the gateway by itself."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, current_app

from shop.teas import Tea, find
from wrapper import Caller, Gateway, Principal

FACTS = Principal("shop.facts", profile="plain", usd_per_day=1)
SHAPE = {
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
    """Answer with a tea's facts, which are the same for everybody: it is asked for them once."""
    tea = find(name)
    known: dict[str, Any] = current_app.extensions.setdefault("facts", {})
    if name not in known:
        known[name] = ask(current_app.extensions["wrapper"], tea)
    return dict(known[name])


def ask(gateway: Gateway, tea: Tea) -> Any:
    """Return what SHAPE says. Raises an ApiError; an answer that is not of SHAPE is one, too."""
    said = gateway.chat.complete(
        [{"role": "user", "content": f"How is {tea.title} from {tea.origin} best brewed?"}],
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "facts", "strict": True, "schema": SHAPE},
        },
        caller=Caller(FACTS),
    )
    return json.loads(said.text)
