"""Fixtures of the shop's tests: shops with a scripted engine, and customers who are logged in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.security import generate_password_hash

from claude_code_gateway import Gateway, Settings
from shop import create_app
from wrapper.testing import ScriptedEngine
from wrapper.testing.engine import answer

pytest_plugins = ["wrapper.testing.plugin"]

PASSWORD = "in the test"
CUSTOMERS = dict.fromkeys(("ada", "bob"), generate_password_hash(PASSWORD, "pbkdf2:sha256:1"))


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Callable[..., Flask]]:
    """Return a function that builds a shop, whose model answers *text* or which uses *engine*."""
    built: list[Gateway] = []

    def make(text: str = "Customers like it.", engine: Any = None, **settings: Any) -> Flask:
        app = create_app(
            {"TESTING": True, "DATABASE": str(tmp_path / "shop.db"), "CUSTOMERS": CUSTOMERS},
            settings=Settings(usage_db=str(tmp_path / "usage.db"), **settings),
            engine=engine or ScriptedEngine(lambda turn: answer(text)),
        )
        built.append(app.extensions["wrapper"])
        return app

    yield make
    for gateway in built:
        gateway.close()


@pytest.fixture
def login() -> Callable[..., FlaskClient]:
    """Return a function that returns a test client in which a customer is logged in."""

    def browse(app: Flask, name: str = "ada") -> FlaskClient:
        browser = app.test_client()
        response = browser.post("/login", data={"name": name, "password": PASSWORD})
        assert response.status_code == 302
        return browser

    return browse
