"""The caller's stored responses: search, read and delete them."""

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
# Responses on one page of the list.
MOST = 50

responses = Blueprint("responses", __name__, url_prefix="/responses")


@responses.get("")
def show() -> Response:
    """List the responses, those used last first, or those whose id has the text that is sought."""
    sought = request.args.get("q", "").strip()[:LONGEST_ID]
    first = max(0, request.args.get("first", 0, int))
    ids = _service().ids(principal())
    found = [id_ for id_ in ids if sought.lower() in id_]
    values = {
        "stores": current_gateway().settings.session_store != "none",
        "sought": sought,
        "first": first,
        "total": len(found),
        "most": MOST,
        "any": bool(ids),
        "rows": _service().read_all(principal(), found[first : first + MOST]),
    }
    part = "_responses.html" if "HX-Request" in request.headers else "responses.html"
    return show_template(part, values)


@responses.get("/response")
def read() -> Response:
    """Show one response with its input and output."""
    id_ = request.args.get("id", "").strip()[:LONGEST_ID]
    response = _service().read(principal(), id_)
    items = [*_service().read_input(principal(), id_), *response["output"]]
    values = {"response": response, "messages": list(_entries(items))}
    return show_template("response.html", values)


@responses.post("/delete")
def delete() -> BaseResponse:
    """Delete a response; those that continue it cannot be continued any more."""
    _service().delete(principal(), request.form.get("id", "")[:LONGEST_ID])
    if "HX-Request" in request.headers:
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
