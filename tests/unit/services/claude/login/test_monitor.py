"""The login's state: missing, refused, about to expire or expired, and when that is logged."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.support.clock import Clock
from tests.support.log_records import messages_of
from wrapper.errors import BadGateway, NotLoggedIn, UpstreamAuthentication
from wrapper.services.claude.errors.no_first_event import RENEWED, NoFirstEvent
from wrapper.services.claude.login.expiry import LoginExpiry
from wrapper.services.claude.login.monitor import LoginMonitor
from wrapper.settings import Settings

KEY = {"ANTHROPIC_API_KEY": "sk-something"}
END = 1_800_000_000.0
DAY = 86400.0


@pytest.fixture
def monitor_of():
    """A function that returns a monitor, which is closed after the test."""
    monitors = []

    def monitor_of(
        environment: Mapping[str, str],
        now: Callable[[], float] = lambda: 0.0,
        announced: list[Any] | None = None,
        **settings: Any,
    ) -> LoginMonitor:
        def announce(*event: Any) -> None:
            if announced is not None:
                announced.append(event)

        expiry = LoginExpiry(environment, Settings(**settings), now)
        monitors.append(LoginMonitor(environment, expiry, announce, now))
        return monitors[-1]

    yield monitor_of
    for monitor in monitors:
        monitor.close()


@pytest.mark.linux  # elsewhere the remedy differs: test_elsewhere.py
def test_a_missing_login(monitor_of, tmp_path, caplog):
    """A missing login is logged, and reported with what to do until somebody logs in."""
    monitor = monitor_of({"HOME": str(tmp_path)})
    monitor.start()
    (message,) = messages_of(caplog, LoginMonitor)
    report = monitor.health()
    assert report["status"] == "missing"
    for text in (message, report["error"]):
        for remedy in ("`claude /login`", "ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"):
            assert remedy in text
    assert "doctor" in message
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude" / ".credentials.json").touch()
    assert monitor.health() == {"status": "ok"}


def test_a_login_that_is_there(monitor_of, caplog):
    """A login that lacks nothing is not logged."""
    monitor = monitor_of(KEY)
    monitor.start()
    assert (messages_of(caplog, LoginMonitor), monitor.health()) == ([], {"status": "ok"})


def test_a_refused_login_is_announced(monitor_of, tmp_path):
    """It is announced as the same occurrence on all workers, once a day and after each login."""
    announced: list[Any] = []
    environment = {"HOME": str(tmp_path)}
    file = tmp_path / ".claude" / ".credentials.json"
    file.parent.mkdir()
    file.touch()
    clock = Clock(END)
    first, second = (monitor_of(environment, clock, announced) for _ in range(2))
    for each in (first, second, first):
        each.refuse(UpstreamAuthentication("Refused.", details="secret"))
    first.accept()
    first.refuse(UpstreamAuthentication("Refused."))
    clock.now += DAY
    first.accept()
    first.refuse(UpstreamAuthentication("Refused."))
    os.utime(file, (1, 1))
    first.refuse(UpstreamAuthentication("Refused."))
    types, data, occurrences = zip(*announced, strict=True)
    assert set(types) == {"login.failed"}
    assert data[0] == {
        "id": first.id(),
        "method": "claude_cli",
        "reason": "Claude Code is logged in",
    }
    assert [occurrences.index(each) for each in occurrences] == [0, 0, 0, 3, 4]


def test_a_refused_login(monitor_of, caplog):
    """A refused login is logged once with the provider's reason, and counts until a turn works."""
    monitor = monitor_of(KEY)
    for _ in range(3):
        monitor.refuse(UpstreamAuthentication("Refused.", details="invalid x-api-key"))
    (message,) = messages_of(caplog, LoginMonitor)
    assert message.startswith("invalid x-api-key (ANTHROPIC_API_KEY is set): set ANTHROPIC_API_KEY")
    report = monitor.health()
    assert report["status"] == "refused"
    assert "set ANTHROPIC_API_KEY to a valid one" in report["error"]
    assert "invalid x-api-key" not in report["error"]
    assert monitor.mistakes() == [report["error"]]
    monitor.accept()
    assert monitor.health() == {"status": "ok"}


def test_a_login_after_a_refusal(monitor_of, tmp_path):
    """A refusal is forgotten once somebody logs in again."""
    (tmp_path / ".claude").mkdir()
    file = tmp_path / ".claude" / ".credentials.json"
    file.touch()
    monitor = monitor_of({"HOME": str(tmp_path)})
    monitor.refuse(UpstreamAuthentication("Refused."))
    assert "log in again with `claude /login`" in monitor.health()["error"]
    os.utime(file, (1, 1))
    assert monitor.health() == {"status": "ok"}


def test_a_turn_without_a_login(monitor_of, tmp_path, caplog):
    """A turn that fails for lack of a login changes nothing: that was reported at the start."""
    monitor = monitor_of({"HOME": str(tmp_path)})
    monitor.refuse(NotLoggedIn("No login."))
    assert (messages_of(caplog, LoginMonitor), monitor.health()["status"]) == ([], "missing")


def test_expiry(monitor_of, caplog):
    """A login that ends soon is logged and announced once, and reported until it has ended.

    If a turn is answered after that, the login has not ended.
    """
    clock = Clock(END - 4 * DAY)
    announced: list[Any] = []
    monitor = monitor_of(KEY, clock, announced, login_expires_at="2027-01-15T08:00")
    monitor.start()
    at = {"expires_at": "2027-01-15T08:00:00Z"}
    assert monitor.health() == {"status": "ok", **at}
    assert (monitor.warning(), messages_of(caplog, LoginMonitor), announced) == ("", [], [])

    clock.now = END - DAY
    for _ in range(2):
        monitor.check_expiry()
    data = {"id": monitor.id(), "method": "anthropic", "reason": "ANTHROPIC_API_KEY is set", **at}
    occurrence = f"login:{monitor.id()}:expires:{END:.0f}"
    assert announced == [("login.expiring", data, occurrence)]
    (message,) = messages_of(caplog, LoginMonitor)
    says = "the login (ANTHROPIC_API_KEY is set) expires at 2027-01-15T08:00:00Z: set "
    assert message.startswith(says)
    assert monitor.health() == {"status": "expiring", "error": message, **at}
    assert (monitor.warning(), monitor.mistakes()) == (message, [])

    clock.now = END + 1
    (mistake,) = monitor.mistakes()
    assert "expired at" in mistake
    assert monitor.health() == {"status": "expired", "error": mistake, **at}
    monitor.accept()
    assert (monitor.health(), monitor.mistakes()) == ({"status": "ok", **at}, [])


def test_errors(monitor_of, tmp_path):
    """A turn without a first event says that its login had to be renewed, if that is so."""
    silent = NoFirstEvent("Nothing came.")
    folder = tmp_path / ".claude"
    folder.mkdir()
    monitor = monitor_of({"HOME": str(tmp_path)}, lambda: END)
    assert monitor.judge(silent) is silent
    (folder / ".credentials.json").write_text('{"claudeAiOauth": {"expiresAt": 1}}')
    assert monitor.judge(silent).message == f"Nothing came. {RENEWED}"
    other = BadGateway("Gone.")
    assert monitor.judge(other) is other
