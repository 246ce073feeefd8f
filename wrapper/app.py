"""The stand-alone server's Flask app, which serves a Gateway."""

from __future__ import annotations

from functools import lru_cache

from flask import Flask

from wrapper.cli import commands
from wrapper.console.blueprint import send_browsers
from wrapper.gateway import Gateway
from wrapper.routes.blueprint import build_root
from wrapper.routes.cors import allow_origins
from wrapper.routes.error_handlers import register_error_handlers
from wrapper.routes.json_response import register_common_headers
from wrapper.routes.paths import PREFIX, PathCorrection
from wrapper.routes.unserved import UNSERVED
from wrapper.server import log_setup
from wrapper.services.engine import Engine
from wrapper.settings import Settings, SettingsError

# Resources that are also served at the root, for clients whose base URL lacks the prefix.
RESOURCES = (
    "chat",
    "responses",
    "completions",
    "batches",
    "files",
    "messages",
    "models",
    "sessions",
    "usage",
    "auth",
    *UNSERVED,
)
# More than there are views and functions around them.
MOST_HANDLERS = 512


def create_app(settings: Settings | None = None, *, engine: Engine | None = None) -> Flask:
    """Return an app that serves the gateway under /v1, and its health also at /health.

    Raises SettingsError. In the program `flask`, an app with wrong settings has only commands.
    """
    try:
        gateway = Gateway(settings, engine=engine)
    except SettingsError as error:
        return commands.app_for_flask(error)
    log_setup.configure(gateway.settings)
    app = Flask(__name__, static_folder=None)
    register_common_headers(app)
    register_error_handlers(app)
    allow_origins(app, gateway.settings)
    app.register_blueprint(
        build_root(gateway.guard, metered=gateway.prometheus_metrics is not None)
    )
    gateway.init_app(app, PREFIX)
    gateway.init_console(app)
    if gateway.settings.console:
        send_browsers(app)
    app.cli.add_command(commands.group)
    # Flask asks for the same functions in each request.
    app.ensure_sync = lru_cache(MOST_HANDLERS)(app.ensure_sync)  # type: ignore[method-assign]
    app.wsgi_app = PathCorrection(app.wsgi_app, PREFIX, RESOURCES)  # type: ignore[method-assign]
    return app
