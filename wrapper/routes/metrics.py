"""The metrics, for Prometheus to read."""

from __future__ import annotations

from flask import Blueprint, Response

from wrapper.errors import PermissionDenied
from wrapper.routes.context import current_gateway, principal
from wrapper.routes.operation import operation

metrics = Blueprint("metrics", __name__)


@metrics.get("/metrics")
@operation(text="The numbers, in Prometheus's own format.")
def read_metrics() -> Response:
    """Tell what the gateway does and has done, of all callers together, for Prometheus.

    Where callers have keys of their own, an admin's is needed.
    """
    if not principal().admin:
        raise PermissionDenied("Only an admin's key may read the metrics: they tell of all keys.")
    told = current_gateway().prometheus_metrics
    return Response(told.read(), content_type=told.content_type)
