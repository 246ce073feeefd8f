"""The tool statistics: count how keys use tools, and report it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import date
from typing import Any

from wrapper.services.principal import Principal
from wrapper.services.store_health import StoreFailed, raising_unavailable
from wrapper.services.usage.access import readable_key
from wrapper.services.usage.tool_counts import ToolCounts, ToolRow, ToolStore

log = logging.getLogger(__name__)


class ToolStats:
    """Counts in *store*, which several workers may share.

    What the store does not take is not counted: nothing is charged by it.
    """

    def __init__(self, store: ToolStore):
        self._store = store

    def add(self, day: str, key: str, counts: Mapping[str, ToolCounts]) -> None:
        """Add the *counts* of tools by name. A failure is only logged."""
        try:
            self._store.add_tools(day, key, counts)
        except StoreFailed as error:
            uses = sum(each.uses for each in counts.values())
            log.warning("%d uses of tools are not counted: %s", uses, error.details)

    def report(
        self, principal: Principal, first: date, last: date, key: str | None = None
    ) -> dict[str, Any]:
        """Return the body of GET /v1/tools/stats for the days from *first* to *last*.

        Raises PermissionDenied where *key* is another caller's and *principal* is no admin, and
        Unavailable where the store cannot be read.
        """
        chosen = readable_key(principal, key, f"how {key!r} uses tools")
        with raising_unavailable("How tools were used cannot be read."):
            rows = self._store.read_tools(first.isoformat(), last.isoformat(), chosen)
        return {
            "object": "tools.stats",
            "start": first.isoformat(),
            "end": last.isoformat(),
            "data": [_line(row) for row in rows],
        }


def _line(row: ToolRow) -> dict[str, Any]:
    counts = row.counts
    return {
        "key": row.key,
        "tool": row.tool,
        "uses": counts.uses,
        "failures": counts.failures,
        "denials": counts.denials,
        "seconds": counts.milliseconds / 1000,
    }
