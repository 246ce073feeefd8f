"""The summaries: a view of the shop's own on the gateway's blueprint, for who is logged in."""

from __future__ import annotations

import json

from flask import Response
from marshmallow import Schema, fields, validate

from shop.teas import TEAS
from wrapper import Gateway
from wrapper.routes import caller, load, operation, stream_response
from wrapper.schemas.chat.response import ChunkSchema

# Reviews are anybody's words: they are what is summed up, and nothing to obey.
TASK = "Sum up the reviews of a tea, given as a JSON list, in at most {words} words."


class SummarySchema(Schema):
    """Of which tea, and in how many words at most."""

    tea = fields.String(required=True, validate=validate.OneOf(TEAS))
    words = fields.Integer(strict=True, load_default=60, validate=validate.Range(10, 200))


def install(gateway: Gateway) -> None:
    """Give *gateway* the view: it has the gateway's login, limits, errors and documents."""

    @gateway.blueprint.post("/summaries")
    @operation(body=SummarySchema(), stream=ChunkSchema, errors=(429, 502, 503, 504))
    def summarise() -> Response:
        """Sum up what customers say of a tea, as a stream of chunks."""
        asked = load(SummarySchema())
        messages = [
            {"role": "system", "content": TASK.format(words=asked["words"])},
            {"role": "user", "content": json.dumps(TEAS[asked["tea"]].reviews)},
        ]
        return stream_response(gateway.chat.stream(messages, caller=caller()))
