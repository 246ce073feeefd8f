"""The provider's limits on the console, as Claude Code has reported them."""

from __future__ import annotations

import time

import pytest

from tests.live.console.conftest import HOME
from tests.support.browser import PHONE, axe
from tests.support.keyed_gateway import KeyedGateway

PREFIX = "anthropic-ratelimit-unified"
LOGIN = {
    "ANTHROPIC_API_KEY": "",
    "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-test",
    "POOL_SIZE_OTHER": "0",
}


@pytest.fixture(scope="module")
def keyed(_servers, tmp_path_factory) -> KeyedGateway:
    """A gateway with the login of a subscription."""
    return KeyedGateway(_servers, tmp_path_factory.mktemp("keys"), {"ann": {}}, **LOGIN)


@pytest.fixture
def reported(upstream):
    """Let the provider report with its answers how much of the limits is used."""
    resets_at = int(time.time()) + 3600
    windows = {"5h": ("0.83", resets_at), "7d": ("0.21", resets_at + 86400)}
    upstream.headers |= {
        f"{PREFIX}-status": "allowed_warning",
        f"{PREFIX}-reset": str(resets_at),
        f"{PREFIX}-representative-claim": "five_hour",
        f"{PREFIX}-5h-surpassed-threshold": "0.8",
    }
    for name, (used, end) in windows.items():
        upstream.headers |= {
            f"{PREFIX}-{name}-utilization": used,
            f"{PREFIX}-{name}-reset": str(end),
        }
    yield
    upstream.headers.clear()


def test_limits(browser, sign_in, keyed, reported):
    """The page of usage shows each window with a bar, its reset, and how old the report is."""
    assert keyed.ask("ann", "Hi")[0] == 200
    sign_in("ann", f"{HOME}/usage")
    assert browser.shows("Limits of the gateway's login", "Five hours", "83 %", "nearly used up")
    assert browser.shows("Seven days", "21 %", "resets", "learned", "ago")
    bars = "return [...document.querySelectorAll('.limits progress')].map(bar => bar.value)"
    assert sorted(browser.run(bars)) == [0.21, 0.83]
    assert browser.faults(axe()) == []
    browser.look(PHONE, dark=True)
    wide, window = browser.run("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= window
    assert browser.faults(axe()) == []
