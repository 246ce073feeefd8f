"""The CORS headers, by which browsers let web pages of other origins call."""

from __future__ import annotations

from flask import Blueprint, Flask
from flask_cors import CORS

from wrapper.auth.guard import cors_origins
from wrapper.routes import headers
from wrapper.settings import Settings


def allow_origins(target: Flask | Blueprint, settings: Settings) -> None:
    """Make *target* send CORS headers to the origins that may call."""
    if origins := cors_origins(settings):
        CORS(
            target,
            origins=origins,
            expose_headers=list(headers.EXPOSED),
            send_wildcard=True,
            always_send=False,
            allow_private_network=True,
        )
