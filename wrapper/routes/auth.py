"""The route of the gateway's own login at the model's provider."""

from __future__ import annotations

from flask import Blueprint, Response

from wrapper.routes.context import current_gateway
from wrapper.routes.json_response import reply
from wrapper.routes.operation import operation
from wrapper.schemas import state_examples
from wrapper.schemas.auth import AuthStatusSchema

auth = Blueprint("auth", __name__)


@auth.get("/auth/status")
@operation(answers={200: AuthStatusSchema}, answer=state_examples.AUTH)
def read_status() -> Response:
    """Report the login in use and why, what Claude Code reports of it, and what is missing."""
    return reply(current_gateway().engine.describe())
