"""The listing of tools: it costs nothing, shows no secret, and is made once."""

import http.client
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest

from wrapper.errors import BadGateway, Unavailable
from wrapper.services.claude.errors.engine_errors import BootFailed
from wrapper.services.claude.processes import tool_listing
from wrapper.services.claude.processes.binary import Binary
from wrapper.services.claude.processes.profiles import Profile, build_profiles
from wrapper.services.claude.processes.tool_listing import ToolListing
from wrapper.services.tools.tool import Tool
from wrapper.settings import Settings

SECRETS = {
    "ANTHROPIC_API_KEY": "sk-secret",
    "ANTHROPIC_AUTH_TOKEN": "secret",
    "ANTHROPIC_CUSTOM_HEADERS": "authorization: secret",
    "CLAUDE_CODE_OAUTH_TOKEN": "secret",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "GOOGLE_APPLICATION_CREDENTIALS": "/secret",
    "HTTPS_PROXY": "http://secret@proxy.example",
    "CLAUDE_CODE_USE_FOUNDRY": "1",
}
KEPT = {"CLAUDE_CODE_USE_BEDROCK": "1", "AWS_REGION": "eu-west-1", "ANTHROPIC_MODEL": "m"}
READ = {"name": "Read", "description": "Reads.", "input_schema": {"type": "object"}}


class Process:
    """A process that sends the model *bodies* in its turn."""

    def __init__(self, profile, bodies):
        self.profile = profile
        self.variables = profile.variables
        self._bodies = bodies

    def full_model_name(self, model):
        return model

    def ask(self, request, seconds):
        return {}

    def send(self, frame, seconds):
        for body in self._bodies:
            url = self.variables["ANTHROPIC_BASE_URL"]
            assert post(url, '{"tools": [{"name": "Planted"}]}', "/v1/messages") == 404
            assert post(url, "no JSON") == 200
            assert post(url, json.dumps(body)) == 200


class Booting:
    """A supervisor that boots such processes, or raises an *error*. `booted` are their profiles."""

    def __init__(self, boot_threads, *bodies, error=None):
        self.bodies = bodies
        self.error = error
        self.booted = []
        self.binary = Binary("/claude", "2.1.330", "PATH", stamp=(1,))
        self.installation = SimpleNamespace(binary=lambda: self.binary)
        self.boot_threads = boot_threads

    def with_process(self, profile: Profile, use: Callable[[Any], None]) -> None:
        self.booted.append(profile)
        if self.error:
            raise self.error
        use(Process(profile, self.bodies))


@pytest.fixture
def booting():
    """Return a function that makes a Booting."""
    with ThreadPoolExecutor(2) as threads:
        yield partial(Booting, threads)


@pytest.fixture
def listing():
    return ToolListing(Settings(), build_profiles(Settings(), {**SECRETS, **KEPT})["agent"])


def post(url, body, path=""):
    """Send *body* to the server at *url*, or to another *path* there, and return the status."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
    try:
        connection.request("POST", path or f"{address.path}/v1/messages", body)
        return connection.getresponse().status
    finally:
        connection.close()


def test_tools(listing, booting):
    """The tools are those of the first request that has any, and are read once for a binary.

    A request to another path of the same port plants none.
    """
    supervisor: Any = booting({"model": "m"}, {"tools": [READ]}, {"tools": [{"name": "Other"}]})
    expected = (Tool("Read", "Reads.", {"type": "object"}),)
    assert [listing.read(supervisor) for _ in range(2)] == [expected] * 2
    assert len(supervisor.booted) == 1
    supervisor.binary = Binary("/claude", "2.1.330", "PATH", stamp=(2,))
    assert listing.read(supervisor) == expected
    assert len(supervisor.booted) == 2


def test_no_secret(listing, booting):
    """The process gets no login, proxy or other server, but what decides on models and regions."""
    supervisor: Any = booting({"tools": [READ]})
    listing.read(supervisor)
    variables = supervisor.booted[0].variables
    assert not [name for name, value in SECRETS.items() if variables.get(name) == value]
    assert KEPT.items() <= variables.items()
    for name in ("ANTHROPIC_BASE_URL", "ANTHROPIC_BEDROCK_BASE_URL", "ANTHROPIC_VERTEX_BASE_URL"):
        assert variables[name].startswith("http://127.0.0.1:")


def test_no_tools_at_all(booting):
    """With CLAUDE_TOOLS=none nothing is started."""
    settings = Settings(claude_tools=())
    listing = ToolListing(settings, build_profiles(settings, {})["agent"])
    supervisor: Any = booting()
    assert listing.read(supervisor) == ()
    assert supervisor.booted == []


@pytest.mark.parametrize("body", [{"tools": []}, {"tools": "x"}, {"tools": [{}]}, {"tools": [1]}])
def test_garbage(listing, body, booting):
    """What cannot be understood is an error of the gateway's."""
    supervisor: Any = booting(body)
    with pytest.raises(BadGateway):
        listing.read(supervisor)


def test_failure_is_remembered(listing, monkeypatch, booting):
    """A failure is remembered, so that no caller can start one process after another."""
    supervisor: Any = booting({"tools": [READ]}, error=BootFailed("It died.", "/secret/path"))
    for _ in range(3):
        with pytest.raises(Unavailable) as caught:
            listing.read(supervisor)
        assert "/secret" not in caught.value.message
    assert len(supervisor.booted) == 1
    monkeypatch.setattr(tool_listing, "FAILURE_SECONDS", 0.0)
    listing = ToolListing(Settings(), build_profiles(Settings(), {})["agent"])
    with pytest.raises(Unavailable):
        listing.read(supervisor)
    supervisor.error = None
    assert listing.read(supervisor)
