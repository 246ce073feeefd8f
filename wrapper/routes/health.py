"""The health and readiness routes."""

from __future__ import annotations

from flask import Blueprint, Response

from wrapper.routes.context import current_gateway
from wrapper.routes.json_response import reply
from wrapper.routes.operation import operation
from wrapper.schemas import state_examples
from wrapper.schemas.health import HealthSchema, ReadySchema

health = Blueprint("health", __name__)


@health.get("/health")
@operation(
    answers={200: HealthSchema, 503: HealthSchema}, answer=state_examples.HEALTH, needs_key=False
)
def read_health() -> Response:
    """Report the state of every part; the status is 503 only if no turn can be served."""
    report = current_gateway().health()
    return reply(report, 503 if report["status"] == "failing" else 200)


@health.get("/ready")
@operation(
    answers={200: ReadySchema, 503: ReadySchema}, answer=state_examples.READINESS, needs_key=False
)
def read_readiness() -> Response:
    """Report whether to send turns here; 503 while the gateway starts, fails or shuts down."""
    status = current_gateway().readiness()
    return reply({"status": status}, 200 if status == "ready" else 503)
