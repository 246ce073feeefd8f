"""The metrics route, for Prometheus."""

from __future__ import annotations

from flask import Blueprint, Response

from wrapper.errors import PermissionDenied
from wrapper.routes.context import current_gateway, principal
from wrapper.routes.operation import operation
from wrapper.schemas import state_examples

metrics = Blueprint("metrics", __name__)


@metrics.get("/metrics")
@operation(text="The metrics, in Prometheus's text format.", answer=state_examples.METRICS)
def read_metrics() -> Response:
    """Report the metrics of all callers together, for Prometheus.

    If the gateway has a keys file, only an admin's key may read them.
    """
    if not principal().admin:
        raise PermissionDenied("Only an admin's key may read the metrics: they cover all keys.")
    metrics_ = current_gateway().prometheus_metrics
    return Response(metrics_.read(), content_type=metrics_.content_type)
