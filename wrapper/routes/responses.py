"""The Responses API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, request

from wrapper.json_text import Json
from wrapper.notes import Notes
from wrapper.routes import background_responses
from wrapper.routes.context import admit_caller, current_gateway, principal
from wrapper.routes.headers import ANSWER, note_headers
from wrapper.routes.json_body import load_body, read_body
from wrapper.routes.json_response import reply
from wrapper.routes.located import located_errors
from wrapper.routes.operation import operation
from wrapper.routes.pages import page_of
from wrapper.routes.sse import TYPED, open_stream, stream_response
from wrapper.schemas import answer_examples, examples
from wrapper.schemas.base import load_data
from wrapper.schemas.responses.request import RESPONSE_REQUEST
from wrapper.schemas.responses.response import ResponseEventSchema, ResponseSchema
from wrapper.schemas.responses.stored import (
    ITEM_PAGE,
    STORED_QUERY,
    ItemListSchema,
    ItemPage,
    ItemPageSchema,
    ResponseDeletedSchema,
    StoredQuery,
    StoredQuerySchema,
)
from wrapper.services.fronts.response_encoder import ResponseEncoder
from wrapper.services.fronts.responses import ResponseRequest, ResponsesPresenter
from wrapper.services.responses.service import ResponseService

responses = Blueprint("responses", __name__)


@responses.post("/responses")
@operation(
    body=RESPONSE_REQUEST,
    examples=examples.RESPONSES,
    answers={200: ResponseSchema},
    answer=answer_examples.RESPONSE,
    stream=ResponseEventSchema,
    event=answer_examples.RESPONSE_EVENT,
    errors=(401, 404, 409, 429, 502, 503, 504),
    headers=ANSWER,
    turns=True,
)
def create_response() -> Response:
    """Answer a conversation, whole or as a stream of events."""
    who, gateway = admit_caller(), current_gateway()
    sent = read_body()
    asked: ResponseRequest = load_body(gateway.schemas.responses, sent)
    with background_responses.explained(asked, who):
        turn = _service().begin(asked, who)
    asked = turn.request
    if asked.background:
        return background_responses.begin(turn, sent, who)
    del sent  # which may be large, and would stay until the turn has ended

    def name_notes(notes: Notes) -> dict[str, str]:
        return note_headers(turn.relocated(notes))

    presenter = ResponsesPresenter(asked, name_notes, token=turn.token, keep=turn.keep)
    with located_errors(asked.locate):
        run = gateway.chat_service.open(asked.request, who, presenter.remember)
        if asked.request.stream:
            framing = replace(TYPED, encode=ResponseEncoder(asked.repeated).encode)
            return stream_response(open_stream(run, presenter, name_notes, framing))
        with run:
            body = presenter.whole(run)
        return reply(body, headers=name_notes(run.notes()))


@responses.get("/responses/<response_id>")
@operation(
    query=StoredQuerySchema,
    answers={200: ResponseSchema},
    answer=answer_examples.RESPONSE,
    stream=ResponseEventSchema,
    event=answer_examples.RESPONSE_EVENT,
    errors=(502, 503),
)
def read_response(response_id: str) -> Response:
    """Return a response, as it is stored or as far as it has run in the background.

    One in the background can be streamed: its events so far, and then those that come.
    """
    query: StoredQuery = load_data(STORED_QUERY, _query())
    if query.stream:
        return background_responses.follow(response_id, query.starting_after)
    response = background_responses.service().read(principal(), response_id)
    return reply({**response, "output": _shown(response["output"], encrypted=query.encrypted)})


@responses.delete("/responses/<response_id>")
@operation(
    answers={200: ResponseDeletedSchema},
    answer=answer_examples.RESPONSE_DELETED,
    errors=(503,),
)
def delete_response(response_id: str) -> Response:
    """Delete a response, and end it if it runs in the background.

    Responses that continue it cannot be continued any more.
    """
    background_responses.service().delete(principal(), response_id)
    return reply({"id": response_id, "object": "response", "deleted": True})


@responses.get("/responses/<response_id>/input_items")
@operation(
    query=ItemPageSchema,
    answers={200: ItemListSchema},
    answer=answer_examples.INPUT_ITEMS,
    errors=(502, 503),
)
def list_input_items(response_id: str) -> Response:
    """List the items of a stored response's own input, the last one first."""
    page: ItemPage = load_data(ITEM_PAGE, _query())
    items = background_responses.service().read_input(principal(), response_id)
    return reply(_page_of(items, page))


@responses.post("/responses/<response_id>/cancel")
@operation(
    answers={200: ResponseSchema},
    answer=answer_examples.RESPONSE_CANCELLED,
    errors=(400, 502, 503),
)
def cancel_response(response_id: str) -> Response:
    """End a response that waits or runs in the background; one that is cancelled stays so."""
    return reply(background_responses.service().cancel(principal(), response_id))


def _service() -> ResponseService:
    service: ResponseService = current_gateway().stores.responses
    return service


def _query() -> dict[str, Any]:
    """Return the query, whose lists may have [] or an index after their name."""
    values = request.args.to_dict()
    included = [value for name, value in request.args.items(multi=True) if _is_include(name)]
    return {**values, "include": included} if included else values


def _is_include(name: str) -> bool:
    return name == "include" or (name.startswith("include[") and name.endswith("]"))


def _page_of(items: Sequence[Json], page: ItemPage) -> Json:
    ordered = list(items) if page.order == "asc" else list(items)[::-1]
    listed = page_of(ordered, page.after, page.limit)
    return {**listed, "data": _shown(listed["data"], encrypted=page.encrypted)}


def _shown(items: Sequence[Json], *, encrypted: bool) -> list[Json]:
    """Return *items*, without the signed form of the thinking unless it is asked for."""
    if encrypted:
        return [*items]
    return [{n: v for n, v in item.items() if n != "encrypted_content"} for item in items]
