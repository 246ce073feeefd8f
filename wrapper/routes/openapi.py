"""The route of the OpenAPI document."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, request

from wrapper.routes.context import current_gateway
from wrapper.routes.json_response import reply
from wrapper.routes.operation import operation
from wrapper.schemas import state_examples
from wrapper.schemas.openapi import DocumentSchema

docs = Blueprint("docs", __name__)


@docs.get("/openapi.json")
@operation(
    answers={200: DocumentSchema}, answer=state_examples.DOCUMENT, errors=(404,), needs_key=False
)
def read_document() -> Response:
    """Describe every route: its parameters, its body and its responses."""
    document = current_gateway().document(current_app)
    return reply({**document, "servers": [{"url": request.script_root or "/"}]})
