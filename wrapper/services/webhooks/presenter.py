"""The presenter: a delivery as the API shows it, without its secret."""

from __future__ import annotations

from datetime import UTC, datetime

from wrapper.json_text import Json
from wrapper.services.webhooks.endpoint import Endpoint
from wrapper.services.webhooks.event import OPERATOR, Delivery
from wrapper.settings.webhooks import shown_url


def to_json(delivery: Delivery, endpoint: Endpoint | None) -> Json:
    """Return *delivery* with the URL of its recipient's present *endpoint*."""
    return {
        "object": "webhook.delivery",
        "id": delivery.id,
        "type": delivery.type,
        "key": None if delivery.recipient == OPERATOR else delivery.recipient,
        "url": shown_url(endpoint.url) if endpoint else None,
        "created_at": _iso(delivery.created),
        "status": delivery.status,
        "attempts": delivery.attempts,
        "last_status": delivery.last_status,
        "last_error": delivery.last_error,
        "next_attempt_at": _iso(delivery.due),
    }


def _iso(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")
