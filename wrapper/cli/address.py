"""Check the address that the gateway listens on: it is free, or this gateway already runs there."""

from __future__ import annotations

import http.client
import ipaddress
import json
from typing import Any

from wrapper.server import ports
from wrapper.settings import Settings
from wrapper.storage_checks import Finding, Level

SECONDS = 3.0
MAX_BYTES = 2**20
# Parts that every gateway's health has.
PARTS = {"status", "turns", "machine", "usage"}


def check_address(settings: Settings) -> Finding:
    """Check that a gateway can listen there, or already does."""
    host, port = settings.host, settings.port
    address = f"{host} port {port}"
    why = ports.why_not(host, port)
    if why is None:
        return Finding("address", Level.OK, f"{address} is free")
    status = _health(host, port).get("status")
    if status is None:
        return Finding("address", Level.FAILED, f"{address}: {why}")
    level = Level.OK if status in ("ok", "starting") else Level.WARNING
    return Finding("address", level, f"{address}: a gateway runs there; its /health says {status}")


def _health(host: str, port: int) -> dict[str, Any]:
    """Return the health of the gateway that listens there; empty if it is no gateway."""
    connection = http.client.HTTPConnection(_reachable(host), port, timeout=SECONDS)
    try:
        connection.request("GET", "/health", headers={"Host": f"localhost:{port}"})
        health = json.loads(connection.getresponse().read(MAX_BYTES))
    except (OSError, http.client.HTTPException, ValueError):
        return {}
    finally:
        connection.close()
    return health if isinstance(health, dict) and health.keys() >= PARTS else {}


def _reachable(host: str) -> str:
    """Return an address at which a server that listens on *host* can be reached."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"
