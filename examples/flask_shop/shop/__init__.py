"""A tea shop on Flask with the gateway inside: `flask --app shop run`."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flask import Flask

from claude_code_gateway import Gateway, Settings
from shop import customers, errors, facts, ledger, newsletter, summaries, teas
from shop.sessions import ShopStore
from wrapper.services.engine import Engine
from wrapper.settings import load


def create_app(
    config: Mapping[str, Any] | None = None,
    *,
    settings: Settings | None = None,
    engine: Engine | None = None,
) -> Flask:
    """Return the shop, with the gateway under /ai/v1.

    *config* configures the shop; in the environment its names begin with SHOP_. *settings* are the
    gateway's, by default from the environment. In tests, *engine* replaces Claude Code.
    """
    app = Flask(__name__)
    app.config.from_mapping(
        SECRET_KEY=secrets.token_hex(),  # new at each start, which logs everybody out
        SESSION_COOKIE_SAMESITE="Lax",
        DATABASE="shop.db",
        CUSTOMERS=customers.DEMONSTRATION,
    )
    app.config.from_prefixed_env("SHOP")
    app.config.from_mapping(config)
    app.register_blueprint(teas.pages)
    app.register_blueprint(customers.pages)
    app.register_blueprint(facts.pages)
    app.cli.add_command(newsletter.write_newsletter)
    errors.install(app)

    # The shop only uses the profile plain, so it keeps no processes with tools warm.
    settings = settings or replace(load(), default_profile="plain", pool_size_other=0)
    gateway = Gateway(
        settings,
        engine=engine,
        sessions=ShopStore(settings.session_ttl, time.time, app.config["DATABASE"]),
        authenticate=customers.authenticate,
    )
    summaries.install(gateway)
    ledger.keep(gateway, app.config["DATABASE"])
    gateway.init_app(app, url_prefix="/ai/v1")
    return app
