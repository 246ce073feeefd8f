"""Serve the shop with waitress. On SIGTERM, running streams finish before it exits.

python serve.py
"""

from __future__ import annotations

import logging
import signal

from waitress import serve

from claude_code_gateway import Gateway
from shop import create_app


def main() -> None:
    logging.basicConfig(level=logging.INFO)
    app = create_app()
    gateway: Gateway = app.extensions["wrapper"]
    signal.signal(signal.SIGTERM, stop)
    with gateway:  # starts it, and drains it after the server has stopped
        serve(
            app,
            host=gateway.settings.host,
            port=gateway.settings.port,
            threads=16,  # each stream takes one
            channel_request_lookahead=1,  # without it, waitress does not notice clients that leave
        )


def stop(*_: object) -> None:
    """Stop waitress as Ctrl-C does; it does not handle SIGTERM itself."""
    raise SystemExit


if __name__ == "__main__":
    main()
