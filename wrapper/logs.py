"""The logs of the stand-alone server; an app that mounts the gateway keeps its own."""

from __future__ import annotations

import logging


def configure(level: str) -> None:
    """Write the log to stderr from *level* on."""
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    )
