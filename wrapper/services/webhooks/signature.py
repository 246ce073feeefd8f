"""Sign events as Standard Webhooks describes it, and as OpenAI does."""

from __future__ import annotations

import base64
import hashlib
import hmac

from wrapper.settings.webhooks import SECRET_PREFIX


def signed_headers(id_: str, timestamp: int, body: str, secret: str) -> dict[str, str]:
    """Return the headers by which the holder of *secret* can verify the *body*."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    content = f"{id_}.{timestamp}.{body}".encode()
    signature = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": id_,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }
