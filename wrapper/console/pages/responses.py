"""The caller's stored responses, or for admins those of all keys: search, read, delete them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from wrapper.console.listed import key_of, list_query
from wrapper.console.page import show as show_template
from wrapper.console.page import wants_part
from wrapper.console.transcript import Entry, Piece
from wrapper.json_text import Json
from wrapper.json_text.encoding import encode
from wrapper.routes.context import current_gateway, principal
from wrapper.services.responses.service import ResponseService

LONGEST_ID = 256
# Responses on one page of the list.
MOST = 50

responses = Blueprint("responses", __name__, url_prefix="/responses")


@responses.get("")
def show() -> Response:
    """List the responses, those used last first, or those that the query names."""
    query = list_query(MOST)
    listing = _service().find(principal(), query)
    values = {
        "stores": current_gateway().settings.session_store != "none",
        "query": query,
        "listing": listing,
        "rows": [{"owner": owner, **response} for owner, response in listing.rows],
    }
    part = "_responses.html" if wants_part() else "responses.html"
    return show_template(part, values)


@responses.get("/response")
def read() -> Response:
    """Show one response with its input and output."""
    asked = principal(), request.args.get("id", "").strip()[:LONGEST_ID], key_of(request.args)
    response = _service().read(*asked)
    items = [*_service().read_input(*asked), *response["output"]]
    owner = asked[2] or principal().name
    values = {"response": response, "owner": owner, "messages": list(_entries(items))}
    return show_template("response.html", values)


@responses.post("/delete")
def delete() -> BaseResponse:
    """Delete a response; those that continue it cannot be continued any more."""
    id_ = request.form.get("id", "")[:LONGEST_ID]
    _service().delete(principal(), id_, key_of(request.form))
    if wants_part():
        return Response()
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
