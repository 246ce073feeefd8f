"""What follows where Claude Code fails checks, as the table in docs/operations.md says."""

from __future__ import annotations

import json
import os
from functools import partial
from typing import Any

import pytest

from tests.support import altered_claude as fault
from tests.support import cli
from tests.support.server import MODEL, eventually
from tests.support.session_client import last_process
from tests.support.stored_trials import FAILURE, store
from wrapper.services.claude.processes.trials.check import Consequence
from wrapper.services.claude.processes.trials.table import CHECKS

pytestmark = pytest.mark.clis

# Ends no turn after a round of tool use, moves no agent, and has a large budget.
ALTERED = (f"{fault.IGNORES_HOOK}; {fault.STAYS_IN_DIRECTORY}", fault.LARGE_BUDGET)
# The gateway finds these out itself. Of all others there is a stored result.
TRIED = ("directory", "max-turns", "budget")
# Here a plain turn ends with its budget, so that its refusals need no check.
FAILED = {
    profile: [
        check.id
        for check in CHECKS
        if check.consequence is not Consequence.REFUSED
        and profile in check.profiles
        and (profile, check.id) != ("plain", "refusal")
    ]
    for profile in ("agent", "plain")
}
ASKED = [{"role": role, "content": "Hello."} for role in ("user", "assistant", "user")]
# A request that needs what the check is about.
NEEDS: dict[str, dict[str, Any]] = {
    "sampling": {"max_tokens": 9},
    "history": {"messages": ASKED},
    "rules": {"claude": {"disallowed_tools": ["Read"]}},
    "max-turns": {"claude": {"max_turns": 1}},
}


@pytest.fixture(scope="module")
def lax(_servers, tmp_path_factory):
    """A gateway whose Claude Code is safe, and fails all other checks."""
    folder = tmp_path_factory.mktemp("lax")
    binary, trials = fault.altered(folder, *ALTERED), folder / "trials"
    store(trials, binary, FAILED, missing=TRIED)
    used = {"TRIALS": "true", "POOL_REHEARSE": "true", "POOL_RECYCLE": "true"}
    settings = {**used, "TRIALS_DIR": str(trials), "LOG_LEVEL": "debug"}
    return _servers(CLAUDE_CLI_PATH=binary, **settings).wait()


def test_unavailable(lax, upstream):
    """A request that needs what fails is refused with the reason; no process is wasted on it."""
    assert set(NEEDS) == {
        check.id for check in CHECKS if check.consequence is Consequence.UNAVAILABLE
    }
    lax.at_rest()
    before = lax.claudes()
    for check, needs in NEEDS.items():
        status, body = lax.ask("hello", **needs)
        assert status == 502
        assert f"({check})" in body["error"]["message"]
    assert not upstream.requests
    assert lax.claudes() == before


@pytest.mark.parametrize("profile", ["agent", "plain"])
def test_named(lax, profile):
    """An answer that depends on what fails names it."""
    asked = {"messages": ASKED[:1], "claude": {"profile": profile}}
    status, headers, _ = lax.call("POST", "/v1/chat/completions", {"model": MODEL, **asked})
    assert status == 200
    named = [check for check in FAILED[profile] if check not in NEEDS]
    assert headers["x-failed-checks"].split(", ") == named


def test_slower(lax):
    """A plain turn whose budget does not end it is ended in another way, after its first answer."""
    # A second request, which Claude Code may begin before it is ended, is not answered soon.
    asked = "[[deltas 4]] [[stall 2]] [[stop max_tokens]]"
    _, body = lax.ask(asked, claude={"profile": "plain"})
    choice = body["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("length", "w1 w2 w3 w4")


def test_not_reused(lax):
    """Where warm-ups or cleared processes leave a trace there are none."""
    for profile in ("agent", "plain"):
        processes = set()
        for _ in range(2):
            assert lax.ask("hello", claude={"profile": profile})[0] == 200
            processes.add(last_process(lax))
        assert len(processes) == 2
        assert lax.health()["warm_up"][profile] == {"status": "off", "error": FAILURE}


def test_reported(lax):
    """What fails is at /health, /v1/auth/status and /metrics, and once in the log."""
    health = lax.health()["trials"]
    assert {profile: set(trial["failed"]) for profile, trial in health.items()} == {
        profile: set(failed) for profile, failed in FAILED.items()
    }
    assert {trial["status"] for trial in health.values()} == {"failed"}
    status = json.loads(lax.call("GET", "/v1/auth/status")[2])
    assert status["cli"]["trials"] == health
    metrics = lax.call("GET", "/metrics")[2].decode()
    for profile, failed in FAILED.items():
        assert f'claude_gateway_failed_checks{{profile="{profile}"}} {len(failed)}.0' in metrics
        for check in failed:
            # Those of the background are logged once all of them are over.
            assert eventually(partial(logged, lax, check, profile)) == 1


def logged(server, check, profile) -> int:
    """Return how often the log says that the check fails."""
    return int(server.log().count(f"fails the check {check} of {profile} processes: "))


def test_refused(serve, upstream, tmp_path):
    """A Claude Code that is not safe stops the start, and the message says what to do."""
    binary = fault.altered(tmp_path, fault.HEEDS_COMMANDS)
    server = serve(CLAUDE_CLI_PATH=binary, TRIALS="true", TRIALS_DIR=str(tmp_path / "trials"))
    assert server.ended() != 0
    log = server.log()
    assert "The gateway does not start: Claude Code 2." in log
    assert "fails the check text: a file that a text names is sent to the model" in log
    assert "To do: install another version: pip install" in log
    assert not upstream.requests


def test_passed_over(serve, upstream, tmp_path):
    """One in the PATH that is not safe is passed over for one that is, and the log says why."""
    folder, trials = tmp_path / "bin", tmp_path / "trials"
    folder.mkdir()
    store(trials, fault.altered(folder), {"agent": ["text"], "plain": ["conversation"]})
    store(trials, str(cli.pinned()))
    path = f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin"
    stored = {"TRIALS": "true", "TRIALS_DIR": str(trials)}
    server = serve(CLAUDE_CLI_PATH="", PATH=path, **stored).wait()
    assert server.ask("hello")[0] == 200
    assert f"{folder}/claude: Claude Code 2." in server.log()
    assert "(from claude-agent-sdk) is used" in server.log()
