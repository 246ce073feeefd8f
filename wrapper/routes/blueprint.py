"""The blueprints that hold all routes, with their checks before each view."""

from __future__ import annotations

from flask import Blueprint, current_app, g

from wrapper.auth.guard import Guard
from wrapper.routes.approvals import approvals
from wrapper.routes.auth import auth
from wrapper.routes.batches import batches
from wrapper.routes.chat import chat
from wrapper.routes.completions import completions
from wrapper.routes.context import begin_span, current_gateway, current_request
from wrapper.routes.error_handlers import register_error_handlers
from wrapper.routes.files import files
from wrapper.routes.health import health
from wrapper.routes.in_process import in_process
from wrapper.routes.json_response import register_common_headers
from wrapper.routes.keys import keys
from wrapper.routes.limits import limits
from wrapper.routes.mcp import mcp
from wrapper.routes.messages import messages
from wrapper.routes.metrics import metrics
from wrapper.routes.models import models
from wrapper.routes.openapi import docs
from wrapper.routes.operation import operation_of
from wrapper.routes.responses import responses
from wrapper.routes.sessions import sessions
from wrapper.routes.tools import tools
from wrapper.routes.unserved import unserved
from wrapper.routes.usage import usage
from wrapper.routes.webhooks import webhooks
from wrapper.services.background.offload.runner import caller_name

# The names of the blueprints whose routes the OpenAPI document describes.
NAMES = ("wrapper", "wrapper_root")


def build_blueprint(guard: Guard, metered: bool) -> Blueprint:
    """Return a new blueprint of all routes, for an app to register under a prefix of its choice.

    *metered* says whether it serves the metrics.
    """
    turns = (chat, responses, completions, messages)
    state = (approvals, models, mcp, sessions, tools, usage, limits, webhooks, auth, health, docs)
    children = (*turns, batches, files, keys, *state)
    return _parent(NAMES[0], guard, *children, *_metrics(metered))


def build_root(guard: Guard, metered: bool) -> Blueprint:
    """Return a blueprint of what the stand-alone server also serves without a prefix."""
    return _parent(NAMES[1], guard, health, docs, *_metrics(metered))


def build_unserved(guard: Guard) -> Blueprint:
    """Return a blueprint that explains what is not served; the OpenAPI document omits it."""
    return _parent("gateway_unserved", guard, unserved)


def _metrics(metered: bool) -> tuple[Blueprint, ...]:
    return (metrics,) if metered else ()


def _parent(name: str, guard: Guard, *children: Blueprint) -> Blueprint:
    blueprint = Blueprint(name, __name__)
    register_common_headers(blueprint)
    register_error_handlers(blueprint)
    _register_checks(blueprint, guard)
    for child in children:
        blueprint.register_blueprint(child)
    return blueprint


def _register_checks(blueprint: Blueprint, guard: Guard) -> None:
    """Check each caller before the view runs; the first request that passes starts the gateway."""

    @blueprint.before_request
    def check() -> tuple[str, int] | None:
        sent = current_request()
        if sent.method == "OPTIONS":
            return "", 204
        gateway = current_gateway()
        declared = operation_of(current_app.view_functions[str(sent.endpoint)])
        made = in_process(sent.environ)
        principal = made.principal if made else guard.check(sent, declared.needs_key)
        g.wrapper_principal = principal
        caller_name.set(principal.name if principal else "")
        if principal and declared.needs_key and not declared.turns:
            gateway.limits.rates.read(principal)
        gateway.start()
        if declared.turns:
            begin_span(gateway.observers.traces)
        return None
