"""The blueprints that hold all routes, with their checks and their errors."""

from __future__ import annotations

from flask import Blueprint

from wrapper.auth.guard import Guard
from wrapper.routes.auth import auth
from wrapper.routes.chat import chat
from wrapper.routes.context import install
from wrapper.routes.health import health
from wrapper.routes.metrics import metrics
from wrapper.routes.models import models
from wrapper.routes.openapi import docs
from wrapper.routes.sessions import sessions
from wrapper.routes.unserved import unserved
from wrapper.routes.usage import usage

# The blueprints' names, by which an app's other routes are told from the gateway's.
NAMES = ("wrapper", "wrapper_root")


def build_blueprint(guard: Guard, metered: bool) -> Blueprint:
    """Return a new parent blueprint; an app registers it under the prefix of its choice.

    *metered* says whether there are metrics.
    """
    own = (chat, models, sessions, usage, auth, health, docs)
    return _parent(NAMES[0], guard, *own, *_metrics(metered))


def build_root(guard: Guard, metered: bool) -> Blueprint:
    """Return what the stand-alone server also serves at its root, where it is looked for."""
    return _parent(NAMES[1], guard, health, docs, *_metrics(metered))


def build_unserved(guard: Guard) -> Blueprint:
    """Return what tells what is not served, under the prefix of the other; no document has it."""
    return _parent("gateway_unserved", guard, unserved)


def _metrics(metered: bool) -> tuple[Blueprint, ...]:
    return (metrics,) if metered else ()


def _parent(name: str, guard: Guard, *children: Blueprint) -> Blueprint:
    blueprint = Blueprint(name, __name__)
    install(blueprint, guard)
    for child in children:
        blueprint.register_blueprint(child)
    return blueprint
