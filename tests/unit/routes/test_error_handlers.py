"""Error handlers: every error is answered in OpenAI's shape."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.scripted_server import CHAT_PATH, ScriptedServer, error_of
from wrapper import errors
from wrapper.routes.error_handlers import retry_seconds

pytestmark = pytest.mark.packages


KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type)]
KINDS = [kind for kind in KINDS if issubclass(kind, errors.ApiError)]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("POST", "/v1"),
        ("GET", "/v1/nothing"),
        ("POST", f"{CHAT_PATH}/x"),
        ("GET", "/chat"),
    ],
)
def test_unknown_url(method, path):
    """An unknown path is a 404 in OpenAI's shape."""
    error = error_of(ScriptedServer().client.open(path, method=method), 404)
    assert error["code"] == "unknown_url"
    assert path in error["message"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", CHAT_PATH, {"POST", "OPTIONS"}),
        ("DELETE", CHAT_PATH, {"POST", "OPTIONS"}),
        ("POST", "/health", {"GET", "HEAD", "OPTIONS"}),
        ("PUT", "/v1/health", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_wrong_method(method, path, allowed):
    """An unsupported method is a 405 that lists the supported ones."""
    response = ScriptedServer().client.open(path, method=method)
    assert error_of(response, 405)["code"] == "method_not_supported"
    assert set(response.headers["Allow"].split(", ")) == allowed


class Failing(ScriptedServer):
    """A server whose turns fail with `error`."""

    error: Any = None

    def __init__(self):
        super().__init__(script=lambda turn: [self.error])


@pytest.fixture(scope="module")
def failing():
    return Failing()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_every_error(failing, kind, stream):
    """An error before the answer begins is an error status in OpenAI's shape, streamed or not."""
    failing.error = kind("Why.")
    error = error_of(failing.ask(stream=stream), kind.status)
    assert error == kind("Why.").body()["error"]
    assert failing.engine.running == 0


def test_headers_of_errors():
    """An error's headers control the retries of OpenAI's libraries."""
    headers = ScriptedServer(errors.RateLimited("Slow.", retry_after=5, retry=True)).ask().headers
    assert (headers["Retry-After"], headers["x-should-retry"]) == ("5", "true")


NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("after", "seconds"),
    [
        (None, None),
        (7, 7),
        (NOW + timedelta(seconds=2.5), 3),
        (datetime(2026, 1, 1, 0, 1), 60),
        (NOW - timedelta(days=1), 1),
    ],
)
def test_retry_seconds(after, seconds):
    """A time at which an app wants a retry becomes whole seconds, at least one."""
    assert retry_seconds(after, NOW) == seconds


@pytest.mark.parametrize("stream", [False, True])
def test_crash(stream):
    """The client of an unexpected error gets the request's id, no details, and no retry."""
    server = ScriptedServer(KeyError("a secret"))
    response = server.ask(stream=stream, headers={"x-request-id": "req-7"})
    error = error_of(response, 500)
    assert (error["type"], error["code"]) == ("server_error", "internal_error")
    assert "secret" not in error["message"]
    assert "req-7" in error["message"]
    assert response.headers["x-should-retry"] == "false"


def test_crash_is_logged(caplog):
    """The details of an unexpected error are logged."""
    with caplog.at_level(logging.ERROR):
        ScriptedServer(KeyError("a secret")).ask(headers={"x-request-id": "req-7"})
    assert "req-7" in caplog.text
    assert "a secret" in caplog.text


@pytest.mark.parametrize(
    ("sent", "redirect"),
    [("@elsewhere", "@elsewhere"), (None, None), ("@other", None), ("/internal", None)],
)
def test_redirect_at_shutdown(sent, redirect):
    """During shutdown, an nginx that sends X-Elsewhere is redirected, and to no other location."""
    server = ScriptedServer()
    server.app.extensions["wrapper"].lifecycle.draining = lambda: True
    response = server.ask(headers={"X-Elsewhere": sent} if sent else {})
    assert error_of(response, 503)["code"] == "unavailable"
    assert response.headers.get("X-Accel-Redirect") == redirect


@pytest.mark.parametrize("kind", [errors.Unavailable, errors.Overloaded])
def test_turns_are_not_redirected(kind):
    """The error of a turn that has begun is never redirected."""
    response = ScriptedServer(kind("Why.")).ask(headers={"X-Elsewhere": "@elsewhere"})
    assert error_of(response, 503)
    assert "X-Accel-Redirect" not in response.headers


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (errors.Unavailable("The store is away."), "WARNING"),
        (errors.RateLimited("Slow."), "INFO"),
        (errors.PermissionDenied("No."), "INFO"),
        (errors.ShuttingDown("Soon."), "INFO"),
    ],
)
def test_level_of_refusals(caplog, monkeypatch, error, level):
    """A refusal is a warning if the gateway could not do what it should."""
    server = ScriptedServer()

    def refuse(caller):
        raise error

    monkeypatch.setattr(server.app.extensions["wrapper"].chat_service, "admit", refuse)
    with caplog.at_level(logging.INFO, "wrapper.routes.error_handlers"):
        server.ask(headers={"x-request-id": "req-7"}, environ={"REMOTE_ADDR": "192.0.2.1"})
    (line,) = [record for record in caplog.records if record.getMessage() == "refused"]
    assert line.levelname == level
    assert (line.facts["id"], line.facts["client"]) == ("req-7", "192.0.2.1")
    assert line.facts["status"] == error.status


def test_failed_turn_is_logged_once(caplog):
    """A failed turn is one line, with the client's address."""
    with caplog.at_level(logging.INFO, "wrapper"):
        ScriptedServer(errors.BadGateway("It broke.")).ask(environ={"REMOTE_ADDR": "192.0.2.1"})
    (line,) = [record for record in caplog.records if hasattr(record, "facts")]
    assert (line.levelname, line.facts["client"]) == ("WARNING", "192.0.2.1")
    assert (line.facts["status"], str(line.facts["error"])) == (502, "It broke.")
