"""The warm-up and early initialize: turns are faster, and the model's input is the same."""

from __future__ import annotations

import asyncio
import os
import re
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.live.test_providers import BEDROCK, VERTEX
from tests.support import cli
from tests.support.server import MODEL, TRIALS, eventually
from wrapper.services.background.lifecycle import Lifecycle
from wrapper.services.claude.conversation.conversation import Conversation
from wrapper.services.claude.processes import supervisor
from wrapper.services.claude.processes.leasing import Lease, LeaseManager
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.profiles import build_profiles
from wrapper.services.claude.processes.trials.trial import open_trial
from wrapper.services.claude.processes.trials.warmup_checks import WARM_UP, check_warm_up
from wrapper.services.claude.processes.warmup import warm_up
from wrapper.services.events import Ended
from wrapper.services.spent import Usage
from wrapper.services.turn import Function, Message, ToolChoice, Turn
from wrapper.settings import Settings

pytestmark = pytest.mark.clis
SECONDS = 30
WAYS = {
    "a key": ({"ANTHROPIC_API_KEY": "sk-test"}, "ANTHROPIC_BASE_URL"),
    "a CLI login": ({"CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-x"}, "ANTHROPIC_BASE_URL"),
    "Bedrock": (BEDROCK, "ANTHROPIC_BEDROCK_BASE_URL"),
    "Vertex AI": (VERTEX, "ANTHROPIC_VERTEX_BASE_URL"),
}
OWN_HEADERS = {"ANTHROPIC_CUSTOM_HEADERS": "x-house: ours"}
SAID = (Message("user", ("Say it.",)),)
PLAIN = Turn(MODEL, SAID, profile="plain")
WEATHER = Function("weather", {"type": "object", "properties": {"city": {"type": "string"}}})
TURNS = {
    "nothing else": PLAIN,
    "a prompt": replace(PLAIN, system="Be brief.\n\nAnswer /clear with @/etc/passwd."),
    "a blank prompt": replace(PLAIN, system=""),
    # For some model names Claude Code takes a late prompt only under the model's own name.
    "an alias": replace(PLAIN, model="haiku", system="Be brief."),
    "the default model": replace(PLAIN, model="default", system="Be brief."),
    "a function": replace(
        PLAIN,
        messages=(Message("user", ('[[call weather {"city": "Rome"}]]',)),),
        system="Be brief.",
        functions=(WEATHER,),
        tool_choice=ToolChoice("auto"),
    ),
}

AGENT = Turn(MODEL, SAID)
CALLED = (Message("user", ('[[call weather {"city": "Rome"}]]',)),)
AGENT_TURNS = {
    "nothing else": AGENT,
    "a prompt": replace(AGENT, system="Be brief."),
    "an appended prompt": replace(AGENT, system="Be brief.", appends=True),
    "a function": replace(AGENT, messages=CALLED, functions=(WEATHER,)),
}

# Providers differ in the address more than in the body.
CASES = [
    *(("a key", name) for name in TURNS),
    *(("a CLI login", name) for name in ("a prompt", "a function")),
    ("Bedrock", "a prompt"),
    ("Vertex AI", "an alias"),
]


@pytest.fixture
def profile(request, upstream, tmp_path):
    """The plain profile, or another one, with one way to log in."""
    way, _, name = request.param.partition(", ")
    variables, url = WAYS[way]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), url: upstream.url}
    settings = Settings(claude_code_max_retries=0)
    return build_profiles(settings, {**environment, **OWN_HEADERS, **variables})[name or "plain"]


@pytest.fixture
def booted(tmp_path):
    """Return a function that boots a process of a profile, stopped after the test."""
    processes: list[Process] = []

    def boot(profile, *, early=False):
        processes.append(Process(profile, cli.current(), tmp_path))
        processes[-1].boot(SECONDS, early=early)
        return processes[-1]

    yield boot
    for process in processes:
        process.stop()


@pytest.fixture
def lend(tmp_path):
    """Return a function that starts a process for a block."""

    @contextmanager
    def lend(profile, config):
        process = Process(profile, cli.current(), tmp_path, config)
        try:
            yield process
        finally:
            process.stop()

    return lend


def run(process: Process, turn: Turn) -> list[Any]:
    """Return the events of a turn in *process*."""

    async def told() -> list[Any]:
        conversation = Conversation(Lease(process), turn, Counter())
        return [event async for event in conversation.events(asyncio.Event())]

    return asyncio.run(told())


def sent(upstream) -> list[Any]:
    """Return all upstream requests, without the names of sessions and devices."""
    requests = list(upstream.requests)
    upstream.clear()
    named = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{64}")
    plain = {"x-claude-code-session-id", "content-length"}
    return [
        (
            one.path,
            named.sub("NAME", one.raw.decode()),
            {name: value for name, value in one.headers.items() if name.lower() not in plain},
        )
        for one in requests
    ]


@pytest.mark.parametrize(("profile", "name"), CASES, indirect=["profile"])
def test_the_same_upstream(booted, upstream, profile, name):
    """A warm process sends to the letter what a process without warm-up sends."""
    usual, ready = booted(profile), booted(profile, early=True)
    warm_up(ready, SECONDS)
    assert not upstream.requests
    expected = run(usual, TURNS[name])
    requests = sent(upstream)
    assert [headers["X-House"] for _, _, headers in requests] == ["ours"]
    assert run(ready, TURNS[name]) == expected
    assert sent(upstream) == requests


@pytest.mark.parametrize("profile", ["a key, agent"], indirect=True)
@pytest.mark.parametrize("name", AGENT_TURNS)
def test_the_same_upstream_of_agents(booted, upstream, profile, name):
    """A warm agent sends to the letter what an agent without warm-up sends.

    Also if it has loaded its MCP client.
    """
    bodies = []
    connecting = replace(profile, connects=True)
    for process in (booted(profile), warmed_up(booted(connecting))):
        assert not upstream.requests
        assert process.alive_and_silent()
        *_, ended = run(process, AGENT_TURNS[name])
        assert isinstance(ended, Ended)
        bodies.append(str(sent(upstream)).replace(str(process.home), "HOME"))
    assert bodies[0] == bodies[1]


def warmed_up(process: Process) -> Process:
    warm_up(process, SECONDS)
    return process


@pytest.mark.parametrize("profile", ["a key"], indirect=True)
def test_costs_nothing(booted, upstream, profile):
    """The warm-up makes no upstream request and counts no usage."""
    process = booted(profile, early=True)
    warm_up(process, SECONDS)
    assert process.alive_and_silent()
    assert not upstream.requests
    *_, ended = run(process, PLAIN)
    (request,) = upstream.requests
    assert request.body["messages"][0]["content"][0]["text"] == "Say it."
    assert isinstance(ended, Ended)
    assert ended.usage != Usage()


@pytest.mark.parametrize("profile", ["a key"], indirect=True)
@pytest.mark.parametrize(
    ("changes", "warmed_up"),
    [({}, True), ({"pool_rehearse": False}, False), ({"pool_size_other": 0}, False)],
    ids=["as it comes", "switched off", "while its turn waits"],
)
def test_at_leisure(profile, monkeypatch, changes, warmed_up):
    """Warm processes have warmed up, unless that is off or a turn waits for them."""
    calls: list[Process] = []
    monkeypatch.setattr(supervisor, "warm_up", lambda process, *_: calls.append(process))
    stored = {"trials_dir": str(TRIALS)}
    settings = Settings(**{"claude_cli_path": cli.current(), "pool_size": 0, **stored, **changes})
    profiles = dict.fromkeys(("agent", "plain"), profile)
    leases = LeaseManager(settings, {}, profiles, Lifecycle(), on_boot=lambda process: None)
    trials, binary = leases.supervisor.trials, leases.supervisor.installation.binary()
    try:
        qualification = trials.qualify(binary, profile)
        assert eventually(lambda: qualification.passed(WARM_UP) or not trials.warm_ups())
        leases.fill()
        size = settings.pool_size_other
        assert eventually(lambda: leases.health()["plain"]["ready"] == size)
        lease = asyncio.run(leases.lease(PLAIN))
        assert (lease.process in calls) is warmed_up
        leases.release(lease, PLAIN, None)
    finally:
        leases.close()


# With a key, plain processes are tried by `test_at_leisure`.
@pytest.mark.parametrize(
    "profile", ["a key, agent", "a CLI login", "a CLI login, agent"], indirect=True
)
def test_the_trial_passes(profile, lend, upstream, tmp_path):
    """The installed CLI passes the trial, which sends nothing to the provider."""
    with open_trial(profile, lend, tmp_path / "trial", SECONDS) as trial:
        check_warm_up(trial)
    assert not upstream.requests
