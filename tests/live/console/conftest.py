"""Fixtures of the console's tests: a gateway with keys, and a browser that has to stay content."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.browser import Browser
from tests.support.keyed_gateway import KeyedGateway

HOME = "/console"


@pytest.fixture(scope="module")
def keyed(_servers, tmp_path_factory) -> KeyedGateway:
    """A gateway with the keys of an admin, eve, and of two callers."""
    ceilings: dict[str, dict[str, Any]] = {
        "eve": {"admin": True},
        "ann": {"usd_per_day": 5},
        "bob": {},
    }
    return KeyedGateway(_servers, tmp_path_factory.mktemp("keys"), ceilings)


@pytest.fixture(scope="module")
def _browser(tmp_path_factory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


@pytest.fixture
def browser(_browser: Browser, base: str) -> Iterator[Browser]:
    """A browser without cookies, whose console must stay empty during the test."""
    _browser.forget(base)
    _browser.look()
    yield _browser
    assert _browser.complaints() == []


@pytest.fixture
def base(keyed: KeyedGateway) -> str:
    return keyed.server.url.removesuffix("/v1")


@pytest.fixture
def sign_in(browser: Browser, keyed: KeyedGateway, base: str):
    """Return a function that signs the owner of a key in."""

    def sign_in(name: str, path: str = HOME) -> None:
        browser.open(f"{base}{path}")
        browser.fill("#key", keyed.keys[name])
        browser.press("Sign in")
        browser.find("[action$='/sign-out']")

    return sign_in
