"""How to connect a client: a snippet for each, with this gateway's address and a model."""

from __future__ import annotations

import re
from collections.abc import Iterator

from flask import Blueprint, Response, request, url_for

from wrapper.console.page import show as show_template
from wrapper.console.snippets import CLIENTS, Client, connection, snippet
from wrapper.routes.context import current_gateway, principal
from wrapper.routes.models import models_of

PLACEHOLDER, NO_KEY = "YOUR_KEY", "unused"
# The browser says by which host it reaches the gateway; it must mean nothing else in a snippet.
HOST = re.compile(r"[\w.:\[\]-]+", re.ASCII)
# Names of models that can stand in every snippet.
MODEL = re.compile(r"[\w.:@/\[\]-]+", re.ASCII)

connect = Blueprint("connect", __name__, url_prefix="/connect")


@connect.get("")
def show() -> Response:
    """Show the snippet of one client."""
    clients = {client.name: client for client in CLIENTS}
    client = clients.get(request.args.get("client", ""), CLIENTS[0])
    names = models()
    model = request.args.get("model", "")
    model = model if model in names else names[0]
    needs_key = current_gateway().guard.needs_key
    values = {
        "clients": CLIENTS,
        "client": client,
        "model": model,
        "models": names,
        "base_url": base_url(),
        "placeholder": PLACEHOLDER if needs_key else None,
        "steps": list(steps(client, PLACEHOLDER if needs_key else NO_KEY, model)),
    }
    return show_template("connect.html", values)


def steps(client: Client, key: str, model: str) -> Iterator[tuple[str, str]]:
    """Yield what to do and the snippet for it, of each step of *client*."""
    values = connection(base_url(), key, model)
    for step in client.steps:
        yield step.text, snippet(step.file, values)


def models() -> list[str]:
    """Return the names of models that the visitor may use, the default first."""
    names = [model.id for model in models_of(current_gateway(), principal())]
    return [name for name in names if MODEL.fullmatch(name)] or ["default"]


def base_url() -> str:
    """Return the URL of the API, as this browser reaches it."""
    path = url_for("wrapper.chat.create_completion").removesuffix("/chat/completions")
    host = request.host if HOST.fullmatch(request.host) else "YOUR_HOST"
    return f"{request.scheme}://{host}{path}"
