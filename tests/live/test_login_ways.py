"""The gateway's login: four ways to log in, and what /v1/auth/status says of them."""

from __future__ import annotations

import json
import math
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.live.test_providers import BEDROCK, VERTEX
from tests.support.faults import program
from tests.support.server import eventually
from tests.support.token_endpoint import TokenEndpoint
from tests.support.webhooks import SECRET, Receiver

CLI_LOGIN = {
    "accessToken": "sk-ant-oat01-test-access",
    "refreshToken": "sk-ant-ort01-test-refresh",
    "scopes": ["user:inference", "user:profile"],
    "subscriptionType": "max",
}


def log_in(home, valid_seconds=3600, **more):
    (home / ".claude").mkdir(exist_ok=True)
    login = {**CLI_LOGIN, "expiresAt": int((time.time() + valid_seconds) * 1000), **more}
    text = json.dumps({"claudeAiOauth": login})
    (home / ".claude" / ".credentials.json").write_text(text)
    account = {"accountUuid": "an-account", "emailAddress": "me@example.com"}
    (home / ".claude.json").write_text(json.dumps({"oauthAccount": account}))


def status_of(server):
    status, _, data = server.call("GET", "/v1/auth/status")
    assert status == 200
    return json.loads(data), data.decode()


BILLED = {
    "anthropic": "api_key",
    "claude_cli": "subscription",
    "token": "subscription",
    "bedrock": "bedrock",
    "vertex": "vertex",
}


@pytest.mark.parametrize("way", BILLED)
def test_four_ways(serve, upstream, tmp_path, way):
    """Each way answers a turn, and the status names it and what is billed."""
    variables = {"ANTHROPIC_API_KEY": "", "POOL_SIZE_OTHER": "0", "HOME": str(tmp_path)}
    if way == "claude_cli":
        log_in(tmp_path)
    model, path, header = "claude-sonnet-4-20250514", "/v1/messages", "Authorization"
    if way == "anthropic":
        variables["ANTHROPIC_API_KEY"] = "sk-test-0123456789"
        header = "X-Api-Key"
    elif way == "token":
        variables["CLAUDE_CODE_OAUTH_TOKEN"] = "sk-ant-oat01-test-access"
    elif way == "bedrock":
        variables |= {**BEDROCK, "ANTHROPIC_BEDROCK_BASE_URL": upstream.url}
        model, path = "us.anthropic.claude-sonnet-4-20250514-v1:0", "/model/"
    elif way == "vertex":
        variables |= {**VERTEX, "ANTHROPIC_VERTEX_BASE_URL": upstream.url}
        model, path = "claude-sonnet-4@20250514", "/publishers/anthropic/"
    server = serve(**variables).wait()
    status, body = server.ask("[[say Hi]]", model=model)
    assert (status, body["choices"][0]["message"]["content"]) == (200, "Hi")
    assert path in upstream.requests[0].path
    if path == "/v1/messages":
        assert "test" in upstream.requests[0].headers[header]
    login, raw = status_of(server)
    assert login["method"] == ("claude_cli" if way == "token" else way)
    assert (login["ready"], login["missing"]) == (True, [])
    assert login["reason"]
    assert login["billed"] == BILLED[way]
    assert login["cli"]["version"].startswith("2.")
    expected = {"bedrock": "bedrock", "vertex": "vertex"}.get(way, "firstParty")
    assert login["account"]["provider"] == expected
    if way == "claude_cli":
        assert "max" in login["account"]["subscription"].lower()
    secrets = ("sk-", "me@example.com", "an-account", str(tmp_path))
    assert not [secret for secret in secrets if secret in raw]


def test_not_logged_in(serve, upstream):
    """Without a login the log, once, the health, the status and a turn say what to do."""
    server = serve(ANTHROPIC_API_KEY="", POOL_SIZE_OTHER="0").listen()
    assert eventually(lambda: server.health()["status"] == "degraded")
    assert server.call("GET", "/health")[0] == 200
    login, _ = status_of(server)
    assert (login["method"], login["ready"], login["billed"]) == ("claude_cli", False, None)
    status, body = server.ask("hello")
    assert (status, body["error"]["code"]) == (401, "upstream_authentication_error")
    assert not upstream.requests
    assert server.health()["login"]["status"] == "missing"
    (warning,) = [line for line in server.log().splitlines() if "without a login" in line]
    seen = (login["missing"][0], server.health()["login"]["error"], body["error"]["message"])
    for text in (*seen, warning):
        for remedy in ("`claude /login`", "ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"):
            assert remedy in text
    assert "doctor" in warning
    assert "doctor" in body["error"]["message"]


def test_refused_login(serve):
    """A refused login is shown by the health and the status, until a turn is answered again."""
    server = serve(POOL_SIZE_OTHER="0").wait()
    assert server.health()["login"] == {"status": "ok"}
    status, body = server.ask("[[error 401]]")
    assert (status, body["error"]["code"]) == (401, "upstream_authentication_error")
    assert "refused the gateway's own login" in body["error"]["message"]
    assert eventually(lambda: server.health()["status"] == "degraded")
    health = server.health()
    assert health["login"]["status"] == "refused"
    login, _ = status_of(server)
    assert (login["ready"], login["missing"]) == (False, [health["login"]["error"]])
    assert "set ANTHROPIC_API_KEY to a valid one" in login["missing"][0]
    assert server.ask("hello")[0] == 200
    assert server.health()["login"] == {"status": "ok"}


def test_broken_cli(serve, tmp_path):
    """If no process starts the status says why, without a local path, and still has the rest."""
    server = serve(CLAUDE_CLI_PATH=program(tmp_path, "echo no luck in $0 >&2", "exit 7")).listen()
    login, _ = status_of(server)
    assert (login["method"], login["ready"]) == ("anthropic", False)
    assert "Claude Code ended with exit code 7 while starting" in login["cli"]["error"]
    assert "no luck" not in login["cli"]["error"]
    assert login["missing"] == [login["cli"]["error"]]


def test_key_is_needed(serve):
    """The status needs a key."""
    server = serve(API_KEY="the-key", POOL_SIZE="0", POOL_SIZE_OTHER="0").listen()
    assert server.call("GET", "/v1/auth/status")[0] == 401
    assert server.call("GET", "/v1/models")[0] == 401


def test_login_and_logout_take_effect(serve, upstream, tmp_path):
    """Logging in or out takes effect without a restart."""
    server = serve(ANTHROPIC_API_KEY="", HOME=str(tmp_path), POOL_SIZE_OTHER="0").listen()
    assert server.ask("hello")[0] == 401
    assert status_of(server)[0]["ready"] is False
    log_in(tmp_path)
    assert eventually(lambda: server.ask("hello")[0] == 200)
    assert status_of(server)[0]["ready"] is True
    (tmp_path / ".claude" / ".credentials.json").unlink()
    assert eventually(lambda: server.ask("hello")[0] == 401)
    assert status_of(server)[0]["ready"] is False


@pytest.fixture
def receiver():
    """The operator's receiver of events, which fails twice."""
    opened = Receiver((503, 503))
    yield opened
    opened.close()


def test_expiry(serve, upstream, tmp_path, receiver):
    """A login that ends soon is reported everywhere before it fails, until it is renewed.

    The operator gets one event of it.
    """
    end = int(time.time()) + 86400
    log_in(tmp_path, refreshTokenExpiresAt=end * 1000)
    webhook = {"WEBHOOK_URL": receiver.url, "WEBHOOK_SECRET": SECRET}
    server = serve(
        ANTHROPIC_API_KEY="",
        HOME=str(tmp_path),
        POOL_SIZE_OTHER="0",
        WEBHOOK_PRIVATE_HOSTS="127.0.0.1",
        **webhook,
    ).wait()
    assert server.ask("hello")[0] == 200
    assert eventually(lambda: server.health()["status"] == "ok")
    health = server.health()
    assert health["login"]["status"] == "expiring"
    login, raw = status_of(server)
    assert (login["ready"], login["expires_at"]) == (True, health["login"]["expires_at"])
    assert "log in again with `claude /login`" in login["warning"] == health["login"]["error"]
    assert "sk-ant" not in raw
    assert metric(server) == end
    assert server.log().count("expires at") == 1
    assert eventually(receiver.accepted)
    (event,) = receiver.accepted()
    assert (event["type"], len(receiver.received)) == ("login.expiring", 3)
    assert event["data"]["expires_at"] == login["expires_at"]
    log_in(tmp_path)
    assert server.health()["login"] == {"status": "ok"}
    assert status_of(server)[0]["expires_at"] is None
    assert math.isnan(metric(server))


def metric(server):
    text = server.call("GET", "/metrics")[2].decode()
    (line,) = re.findall(r"^claude_gateway_login_expires_seconds (\S+)$", text, re.MULTILINE)
    return float(line)


def test_a_renewal_that_hangs(serve, upstream, tmp_path, silence):
    """A turn whose login cannot be renewed in time says that it may have waited for that."""
    log_in(tmp_path, valid_seconds=-3600)
    variables = {"FIRST_EVENT_TIMEOUT": "4", "HTTPS_PROXY": silence, "NO_PROXY": "127.0.0.1"}
    sizes = {"POOL_SIZE": "1", "POOL_SIZE_OTHER": "0"}
    server = serve(ANTHROPIC_API_KEY="", HOME=str(tmp_path), **sizes, **variables).wait()
    status, body = server.ask("hello")
    assert (status, body["error"]["code"]) == (504, "timeout")
    assert "login has to be renewed" in body["error"]["message"]
    assert not upstream.requests


@pytest.fixture
def silence():
    """The URL of a proxy that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def tokens(tmp_path):
    endpoint = TokenEndpoint(tmp_path, valid=str(CLI_LOGIN["refreshToken"]))
    yield endpoint
    endpoint.close()


def test_a_renewed_login_is_given_back(serve, upstream, tmp_path, tokens):
    """A login that the gateway's processes renew is stored for the user's own Claude Code.

    A refresh token works once. If the new one stayed here or were lost with its process, the user
    would be logged out, and so would the gateway's next process.
    """
    log_in(tmp_path, valid_seconds=-3600)
    file = tmp_path / ".claude" / ".credentials.json"
    server = serve(
        ANTHROPIC_API_KEY="", HOME=str(tmp_path), POOL_SIZE="3", **tokens.variables()
    ).wait()
    with ThreadPoolExecutor(4) as several:
        answers = list(several.map(lambda _: server.ask("hello")[0], range(4)))
    assert answers == [200] * 4
    server.at_rest()
    assert tokens.asked == [CLI_LOGIN["refreshToken"]]
    sent = {request.headers["Authorization"] for request in upstream.requests}
    assert sent == {"Bearer sk-ant-oat01-renewed-1"}
    kept = json.loads(file.read_text())["claudeAiOauth"]
    assert kept["refreshToken"] == "sk-ant-ort01-renewed-1"
    assert file.stat().st_mode & 0o077 == 0
    assert server.ask("hello")[0] == 200
    assert len(tokens.asked) == 1
    server.stop()
    assert json.loads(file.read_text())["claudeAiOauth"] == kept
