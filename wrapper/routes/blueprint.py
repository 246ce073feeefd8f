"""The blueprint that holds all routes, with their checks and their errors."""

from __future__ import annotations

from flask import Blueprint

from wrapper.routes.chat import chat
from wrapper.routes.health import health
from wrapper.routes.http import install
from wrapper.security import Guard


def build_blueprint(guard: Guard) -> Blueprint:
    """Return a new parent blueprint; an app registers it under the prefix of its choice."""
    blueprint = Blueprint("wrapper", __name__)
    install(blueprint, guard)
    for child in (chat, health):
        blueprint.register_blueprint(child)
    return blueprint
