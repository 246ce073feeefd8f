"""The caller's responses, or for admins those of all keys: search, read, cancel, delete them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from wrapper.console import live
from wrapper.console.listed import key_of, list_query
from wrapper.console.page import show as show_template
from wrapper.console.page import wants_part
from wrapper.console.transcript import Entry, Piece
from wrapper.errors import ResponseNotFound
from wrapper.json_text import Json
from wrapper.json_text.encoding import encode
from wrapper.routes.context import current_gateway, principal
from wrapper.services.principal import Principal
from wrapper.services.responses.background.service import BackgroundResponses
from wrapper.services.responses.service import ResponseService

LONGEST_ID = 256
# Responses on one page of the list.
MOST = 50
# Responses in the background that are shown, which are read again while the page is open.
MOST_RUNNING = 20
# The states in which a response has not ended.
OPEN = ("queued", "in_progress")

responses = Blueprint("responses", __name__, url_prefix="/responses")


@responses.get("")
def show() -> Response:
    """List the responses, those used last first, or those that the query names."""
    query = list_query(MOST)
    listing = _stored().find(principal(), query)
    values = {
        **_running(),
        "stores": current_gateway().settings.session_store != "none",
        "query": query,
        "listing": listing,
        "rows": [{"owner": owner, **response} for owner, response in listing.rows],
    }
    part = "_responses.html" if wants_part() else "responses.html"
    return show_template(part, values)


@responses.get("/live")
def follow() -> Response:
    """Send the list of responses in the background whenever it changes."""
    return live.stream(lambda: render_template("console/_background.html", **_running()))


@responses.get("/response")
def read() -> Response:
    """Show one response with its input, and its output so far."""
    asked = _asked(request.args)
    response, items = _service().read(*asked), list[Json]()
    with suppress(ResponseNotFound):  # it has ended in the background, and is not stored
        items += _service().read_input(*asked)
    values = {"input": list(_entries(items)), **_shown(response, asked[2])}
    return show_template("response.html", values)


@responses.get("/response/live")
def follow_response() -> Response:
    """Send a response in the background, with its output so far, whenever it changes."""
    asked = _asked(request.args)
    states = _service().look(*asked)
    return live.stream(lambda: _part_of(_next(states), asked[2]))


@responses.post("/cancel")
def cancel() -> BaseResponse:
    """End a response in the background, and show where it stands what has become of it."""
    asked = _asked(request.form)
    response = _service().cancel(*asked)
    if not wants_part():
        return redirect(url_for(".read", id=asked[1], key=asked[2]), 303)
    if "list" in request.form:
        return show_template("_background.html", _running())
    return Response(_part_of(response, asked[2]))


@responses.post("/delete")
def delete() -> BaseResponse:
    """Delete a response; those that continue it cannot be continued any more."""
    _service().delete(*_asked(request.form))
    if wants_part():
        return Response()
    return redirect(url_for(".show"), 303)


def _stored() -> ResponseService:
    service: ResponseService = current_gateway().stores.responses
    return service


def _service() -> BackgroundResponses:
    service: BackgroundResponses = current_gateway().work.responses
    return service


def _asked(sent: Mapping[str, str]) -> tuple[Principal, str, str | None]:
    """Return who asks, for which response, and of which key."""
    return principal(), sent.get("id", "").strip()[:LONGEST_ID], key_of(sent)


def _running() -> dict[str, Any]:
    """Return the jobs of responses that the query names."""
    query = replace(list_query(MOST_RUNNING), first=0)
    listing = _service().search(principal(), query)
    return {"jobs": listing.rows, "number_of_jobs": listing.total, "query": query}


def _shown(response: Json, key: str | None) -> dict[str, Any]:
    return {
        "response": response,
        "key": key if key != principal().name else None,
        "is_open": response["status"] in OPEN,
        "messages": list(_entries(response["output"])),
    }


def _part_of(response: Json, key: str | None) -> str:
    return render_template("console/_response.html", **_shown(response, key))


def _next(states: Iterator[Json]) -> Json:
    """Return the next state. Raises ResponseNotFound if the response is not kept any more."""
    response = next(states, None)
    if response is None:
        raise ResponseNotFound("This response is not kept any more.")
    return response


def _entries(items: Iterable[Json]) -> Iterator[Entry]:
    """Yield an entry for each item; of thinking, its summary."""
    for item in items:
        kind = item["type"]
        if kind == "message":
            yield _message(item)
        elif kind == "reasoning":
            texts = _summaries(item.get("summary"))
            yield Entry(kind, "Thinking", tuple(Piece("call", text, "Summary") for text in texts))
        else:
            shown = {name: value for name, value in item.items() if name not in ("id", "status")}
            piece = Piece("call", encode(shown), str(item.get("name") or kind))
            yield Entry(kind, kind.replace("_", " ").capitalize(), (piece,))


def _summaries(summary: Any) -> Iterator[str]:
    """Yield the texts of a summary, which is stored as the client sent it."""
    for part in summary if isinstance(summary, list) else ():
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            yield part["text"]


def _message(item: Json) -> Entry:
    role, content = str(item["role"]), item["content"]
    parts: list[Any] = [{"text": content}] if isinstance(content, str) else content
    pieces = tuple(
        Piece("text", str(part["text"])) if "text" in part else Piece("call", encode(part), "Part")
        for part in parts
    )
    return Entry(role, role.capitalize(), pieces)
