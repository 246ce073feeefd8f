"""The shop under waitress, for a service manager: SIGTERM lets streams end, and then all does.

python serve.py
"""

from __future__ import annotations

import logging
import signal

from waitress import serve

from shop import create_app
from wrapper import Gateway


def main() -> None:
    logging.basicConfig(level=logging.INFO)
    app = create_app()
    gateway: Gateway = app.extensions["wrapper"]
    signal.signal(signal.SIGTERM, leave)
    with gateway:  # which is started now, and drained when the server has stopped
        serve(
            app,
            host=gateway.settings.host,
            port=gateway.settings.port,
            threads=16,  # each stream takes one
            channel_request_lookahead=1,  # without it nobody is seen to leave
        )


def leave(*_: object) -> None:
    """Have waitress stop, as Ctrl-C does; by itself it knows nothing of SIGTERM."""
    raise SystemExit


if __name__ == "__main__":
    main()
