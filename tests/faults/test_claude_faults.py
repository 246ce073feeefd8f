"""Whatever the CLI does, a turn ends with an answer or an error, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest

from tests.support.faults import ask, asked, lasting, outcome, program, wait_for
from tests.support.server import alive, eventually
from tests.support.session_client import last_process, remember
from tests.support.socket_client import Client, request
from wrapper.host import resident

SOON = 15.0  # five times what a turn may need to end
PROFILES = ("plain", "agent")
KILLS = 100
AT_ONCE = 10
POOLS = {"POOL_SIZE": "2", "POOL_SIZE_OTHER": "2"}


@pytest.fixture(scope="module")
def _misled(_servers, faulty_claude):
    return _servers(CLAUDE_CLI_PATH=faulty_claude, **POOLS).wait()


@pytest.fixture
def misled(_misled):
    """A gateway that runs faulty_claude.py. After each test it holds what it held before."""
    with unchanged(_misled):
        yield _misled


@pytest.fixture(scope="module")
def _hasty(_servers, faulty_claude):
    return _servers(CLAUDE_CLI_PATH=faulty_claude, **POOLS, MAX_TIMEOUT="2000").wait()


@pytest.fixture
def hasty(_hasty):
    """The same, with turns that are ended after two seconds."""
    with unchanged(_hasty):
        yield _hasty


@contextmanager
def unchanged(server):
    """Check that *server* answers afterwards, and holds what it held before."""
    for profile in PROFILES:
        ask(server, "", profile)
    before = lasting(server)
    yield
    # On a busy machine a turn may run into MAX_TIMEOUT.
    assert eventually(lambda: ask(server, "")[0] == 200)
    assert server.comes_back_to(before)


def test_hangs_and_floods(hasty):
    """A CLI that writes nothing, half a line, or junk without end, is ended at MAX_TIMEOUT."""
    told = ("[[still]]", "[[begin]]", "[[half]]", "[[flood]]", "[[shout]]")
    with ThreadPoolExecutor() as pool:
        turns = [pool.submit(ask, hasty, one, profile) for one in told for profile in PROFILES]
        assert {outcome(*turn.result()) for turn in turns} == {(504, "timeout")}


@pytest.mark.parametrize("profile", PROFILES)
def test_half_a_line(misled, profile):
    """A CLI that exits in the middle of a line is an error that must not be retried."""
    status, body = ask(misled, "[[leave]]", profile)
    assert (status, body["error"]["code"]) == (502, "bad_gateway")


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("told", ["[[garbage]]", "[[line 40]]"])
def test_garbage(misled, told, profile):
    """Garbage and a line of 40 MB are skipped, and the answer after them is read."""
    status, body = ask(misled, told, profile)
    assert (status, body["choices"][0]["message"]["content"]) == (200, "ok")


def test_line_without_end(misled):
    """A line that is too long to be kept is an error, and the gateway works on."""
    status, body = ask(misled, "[[line 70]]")
    assert (status, body["error"]["code"]) == (502, "bad_gateway")


def test_words_without_end(hasty):
    """An endless answer is ended at MAX_TIMEOUT, also if the client reads the stream."""
    hasty.at_rest()  # so that the turn does not wait for a process
    events, raw = hasty.stream("[[babble]]", claude={"profile": "plain"})
    assert events[-1]["error"]["code"] == "timeout"
    assert b"[DONE]" not in raw


def test_deaf(hasty):
    """A CLI that ignores SIGTERM is killed."""
    status, _ = ask(hasty, "[[deaf]]", "agent")
    assert status == 504
    # The fixture checks that all its processes are gone.


@pytest.mark.parametrize("text", ["hello", "x" * 1_000_000])
@pytest.mark.parametrize("profile", PROFILES)
def test_stopped_before_it_is_asked(hasty, profile, text):
    """A stopped process is ended at MAX_TIMEOUT, however large the request is."""
    hasty.at_rest()
    stopped = hasty.claudes()
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    status, body = ask(hasty, text, profile)
    assert outcome(status, body) == (504, "timeout")
    for pid in stopped:  # the others were not used, and have to be replaced some day
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def brief(_servers):
    settings = {"POOL_SIZE": "1", "POOL_SIZE_OTHER": "1", "MAX_TIMEOUT": "5000"}
    return _servers(LOG_LEVEL="debug", **settings).wait()


@pytest.mark.parametrize("profile", PROFILES)
def test_stopped_in_mid_answer(brief, upstream, profile):
    """If the real CLI is stopped after its first words, the client gets an error and it ends."""
    with Client(brief) as client:
        client.send(request("[[deltas 100]] [[pause 0.1]]", stream=True, profile=profile))
        assert b'"w1"' in client.read_until(b'"w1"')
        stopped = last_process(brief)
        os.kill(stopped, signal.SIGSTOP)
        assert b'"code":"timeout"' in client.read_until(b'"code":"timeout"')
    assert b"[DONE]" not in client.said
    assert eventually(lambda: not alive(stopped), SOON)
    brief.at_rest()


@pytest.mark.thorough
def test_killed_in_mid_turn(serve, faulty_claude):
    """Each of a hundred turns whose process is killed is an error, and leaves nothing behind."""
    settings = {"POOL_SIZE": "1", "POOL_SIZE_OTHER": "4", "MAX_TIMEOUT": "50000"}
    server = serve(CLAUDE_CLI_PATH=faulty_claude, **settings).wait()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda _: ask(server, ""), range(AT_ONCE)))
        before = lasting(server)
        for _ in range(KILLS // AT_ONCE):
            turns = [pool.submit(ask, server, "[[begin]]") for _ in range(AT_ONCE)]
            assert eventually(lambda: len(asked(server)) == AT_ONCE), server.log()
            for pid in asked(server):
                os.kill(pid, signal.SIGKILL)
            assert {outcome(*turn.result()) for turn in turns} == {(502, "bad_gateway")}
    assert outcome(*ask(server, "")) == (200, None)
    assert server.comes_back_to(before)


def test_boots_that_fail_for_a_while(serve, tmp_path, faulty_claude):
    """While boots fail, turns are refused with Retry-After. Once they succeed, all works."""
    (tmp_path / "tries").write_text("")
    wrong = 'echo "no luck" >&2; exit 1'
    count = f"echo >> {tmp_path}/tries; test $(wc -l < {tmp_path}/tries) -gt 12 || {{ {wrong}; }}"
    binary = program(tmp_path, count, f'exec {faulty_claude} "$@"')
    server = serve(CLAUDE_CLI_PATH=binary, POOL_SIZE="3", POOL_SIZE_OTHER="3").listen()
    assert eventually(lambda: server.health()["status"] == "failing")
    body = {"messages": [{"role": "user", "content": "hello"}]}
    status, headers, data = server.call("POST", "/v1/chat/completions", body)
    assert (status, b"exit code 1" in data, b"no luck" in data) == (503, True, False)
    errors = [line for line in server.log().splitlines() if " ERROR " in line]
    assert sum("no luck" in line for line in errors) == 1  # the turn has a warning of its own
    assert 1 <= int(headers["retry-after"]) <= 60
    assert eventually(lambda: server.health()["status"] == "ok", 25), server.log()
    assert ask(server, "")[0] == 200
    server.at_rest()


def test_boots_that_are_soon_done(serve, faulty_claude):
    """A gateway is ready only once it has loaded the SDK, however fast processes boot."""
    server = serve(CLAUDE_CLI_PATH=faulty_claude, PYTHONPROFILEIMPORTTIME="1").wait()
    assert " claude_code_sdk\n" in server.log()


def test_boots_that_take_long(serve, tmp_path, faulty_claude):
    """Turns wait for slow boots, and no more processes are started than needed."""
    go = tmp_path / "go"
    binary = program(tmp_path, wait_for(go), f'exec {faulty_claude} "$@"')
    server = serve(CLAUDE_CLI_PATH=binary, POOL_SIZE="0").listen()
    with ThreadPoolExecutor() as pool:
        turns = [pool.submit(ask, server, "", profile) for profile in PROFILES * 2]
        assert eventually(lambda: server.health()["status"] == "starting", SOON)
        go.touch()
        assert [turn.result()[0] for turn in turns] == [200] * 4
    server.at_rest()


def test_warm_up_that_fails(serve, tmp_path, faulty_claude):
    """A Claude Code that cannot be warmed up serves without a warm-up."""
    deaf_once = f"sed -u '0,/client_composed/{{/client_composed/d}}' | {faulty_claude} \"$@\""
    variables = {"POOL_REHEARSE": "true", "BOOT_TIMEOUT": "1", "DEFAULT_PROFILE": "plain"}
    server = serve(CLAUDE_CLI_PATH=program(tmp_path, deaf_once), **variables).wait()
    assert server.log().count("fails the check warm-up of plain processes") == 1
    assert server.health()["warm_up"]["plain"]["status"] == "off"


def test_boots_that_flood(serve, tmp_path):
    """A process that writes without end while it boots is ended, and its output is not kept."""
    settings = {"POOL_SIZE": "1", "POOL_SIZE_OTHER": "1", "BOOT_TIMEOUT": "10"}
    server = serve(CLAUDE_CLI_PATH=program(tmp_path, "exec cat /dev/zero"), **settings).listen()
    assert eventually(lambda: server.health()["status"] == "failing"), server.log()
    assert resident(server.worker) < 400 * 1024**2
    assert "too much" in server.health()["pools"]["agent"]["error"]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("said", [b'{"type": "system", "subtype": "note"}\n', b"half a line"])
def test_parked_process_that_writes(remembering, new_session, profile, said):
    """A parked process that writes anything is not used again. Its session goes on."""
    session = new_session(remembering, profile)
    session.ask(remember("a"))
    session.ask(remember("b"))
    parked = session.process
    remembering.at_rest()
    with open(f"/proc/{parked}/fd/1", "wb") as stdout:
        stdout.write(said)
    assert session.ask("[[recall]]").text == "a b"
    assert session.process != parked
    assert eventually(lambda: not alive(parked), SOON)
