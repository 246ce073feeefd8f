"""Summaries of reviews: a view on the gateway's blueprint, for customers who are logged in."""

from __future__ import annotations

import json

from flask import Response
from marshmallow import Schema, fields, validate

from claude_code_gateway import Gateway
from shop.teas import TEAS
from wrapper.routes import caller, load, operation, stream_response
from wrapper.schemas.chat.response import ChunkSchema

# Anybody can write a review, so reviews are data to sum up and not instructions.
TASK = "Sum up the reviews of a tea, given as a JSON list, in at most {words} words."


class SummarySchema(Schema):
    """The tea, and the most words of its summary."""

    tea = fields.String(required=True, validate=validate.OneOf(TEAS))
    words = fields.Integer(strict=True, load_default=60, validate=validate.Range(10, 200))


def install(gateway: Gateway) -> None:
    """Add the view to *gateway*, whose login, limits, errors and OpenAPI document it shares."""

    @gateway.blueprint.post("/summaries")
    @operation(body=SummarySchema(), stream=ChunkSchema, errors=(429, 502, 503, 504))
    def summarise() -> Response:
        """Sum up what customers say of a tea, as a stream of chunks."""
        body = load(SummarySchema())
        messages = [
            {"role": "system", "content": TASK.format(words=body["words"])},
            {"role": "user", "content": json.dumps(TEAS[body["tea"]].reviews)},
        ]
        return stream_response(gateway.chat.stream(messages, caller=caller()))
