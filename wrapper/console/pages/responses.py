"""Stored responses of the Responses API: read and delete one by its id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from wrapper.console.page import show as show_template
from wrapper.console.transcript import Entry, Piece
from wrapper.json_text import Json
from wrapper.json_text.encoding import encode
from wrapper.routes.context import current_gateway, principal
from wrapper.services.responses.service import ResponseService

LONGEST_ID = 256

responses = Blueprint("responses", __name__, url_prefix="/responses")


@responses.get("")
def show() -> Response:
    """Show the response whose id the query names, or ask for one: the store has no list."""
    id_ = request.args.get("id", "").strip()[:LONGEST_ID]
    if not id_:
        stores = current_gateway().settings.session_store != "none"
        return show_template("responses.html", {"stores": stores})
    response = _service().read(principal(), id_)
    items = [*_service().read_input(principal(), id_), *response["output"]]
    values = {"response": response, "messages": list(_entries(items))}
    return show_template("response.html", values)


@responses.post("/delete")
def delete() -> BaseResponse:
    """Delete a response; those that continue it cannot be continued any more."""
    _service().delete(principal(), request.form.get("id", "")[:LONGEST_ID])
    return redirect(url_for(".show"), 303)


def _service() -> ResponseService:
    service: ResponseService = current_gateway().responses
    return service


def _entries(items: Iterable[Json]) -> Iterator[Entry]:
    """Yield an entry for each item; of thinking, its summary."""
    for item in items:
        kind = item["type"]
        if kind == "message":
            yield _message(item)
        elif kind == "reasoning":
            texts = [part["text"] for part in item.get("summary", ())]
            yield Entry(kind, "Thinking", tuple(Piece("call", text, "Summary") for text in texts))
        else:
            shown = {name: value for name, value in item.items() if name not in ("id", "status")}
            piece = Piece("call", encode(shown), str(item.get("name") or kind))
            yield Entry(kind, kind.replace("_", " ").capitalize(), (piece,))


def _message(item: Json) -> Entry:
    role, content = str(item["role"]), item["content"]
    parts: list[Any] = [{"text": content}] if isinstance(content, str) else content
    pieces = tuple(
        Piece("text", str(part["text"])) if "text" in part else Piece("call", encode(part), "Part")
        for part in parts
    )
    return Entry(role, role.capitalize(), pieces)
