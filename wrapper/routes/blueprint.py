"""The blueprints that hold all routes, with their checks and their errors."""

from __future__ import annotations

from flask import Blueprint

from wrapper.routes.auth import auth
from wrapper.routes.chat import chat
from wrapper.routes.health import health
from wrapper.routes.http import install
from wrapper.routes.models import models
from wrapper.security import Guard


def build_blueprint(guard: Guard) -> Blueprint:
    """Return a new parent blueprint; an app registers it under the prefix of its choice."""
    return _parent("wrapper", guard, chat, models, auth, health)


def build_root(guard: Guard) -> Blueprint:
    """Return what the stand-alone server also serves at its root, where probes look for it."""
    return _parent("wrapper_root", guard, health)


def _parent(name: str, guard: Guard, *children: Blueprint) -> Blueprint:
    blueprint = Blueprint(name, __name__)
    install(blueprint, guard)
    for child in children:
        blueprint.register_blueprint(child)
    return blueprint
