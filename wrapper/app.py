"""The stand-alone server: a Flask app around a Gateway."""

from __future__ import annotations

from flask import Flask

from wrapper import cli, logs
from wrapper.gateway import Gateway
from wrapper.routes.blueprint import build_root
from wrapper.routes.http import install_answers
from wrapper.services.engine import Engine
from wrapper.settings import Settings, environment


def create_app(settings: Settings | None = None, *, engine: Engine | None = None) -> Flask:
    """Return an app that serves the gateway under /v1, and its health at /health too."""
    gateway = Gateway(settings, engine=engine)
    _configure_logs(gateway.settings)
    app = Flask(__name__, static_folder=None)
    install_answers(app)
    gateway.allow_origins(app)
    app.register_blueprint(build_root(gateway.guard, metered=gateway.metrics is not None))
    gateway.init_app(app)
    app.cli.add_command(cli.group)
    return app


def _configure_logs(settings: Settings) -> None:
    urls = [url for url in (settings.redis_url, settings.session_store) if "://" in url]
    secrets = [*logs.secrets_of(environment()), settings.api_key, *urls]
    logs.configure(
        settings.log_level,
        style=settings.log_format,
        prompts=settings.log_prompts,
        secrets=[secret for secret in secrets if secret],
    )
