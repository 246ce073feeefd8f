"""Usage is kept by key, model and day, whatever happens, and budgets limit it."""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest.mock import ANY

import openai
import pytest

from tests.support.keyed_gateway import KeyedGateway
from tests.support.server import DEADLINE, MODEL, alive, children, eventually

PLAIN = {"claude": {"profile": "plain"}}
ROUNDS = " ".join(f'[[tool Bash {{"command": "echo {number}"}}]]' for number in range(9))
LOOP = f'[[say end]] [[first on]] [[usage {{"input_tokens": 1000}}]] {ROUNDS}'  # $0.003 a round
DEAR = '[[say done]] [[usage {"input_tokens": 1000}]]'  # $0.003015


@pytest.fixture(scope="module")
def _keyed(_servers, tmp_path_factory):
    ceilings: dict[str, dict[str, Any]] = {
        "alice": {},
        "bob": {},
        "chief": {"admin": True},
        "poor": {"usd_per_day": 0.003},
        "month": {"usd_per_month": 0.003},
        "eight": {"usd_per_day": 0.001},
        "short": {"usd_per_day": 100},
        "loop": {"usd_per_day": 0.01},
        "loop-streamed": {"usd_per_day": 0.01},
        "loops": {"usd_per_day": 0.01},
    }
    return KeyedGateway(_servers, tmp_path_factory.mktemp("keyed"), ceilings, POOL_SIZE="3")


@pytest.fixture
def keyed(_keyed, upstream):
    """A gateway with several budgets, and an upstream without requests."""
    return _keyed


def spent(keyed, name):
    """Return the totals of the key *name*."""
    return keyed.usage(name)["total"]


def replaced(server, worker):
    """Say whether *worker* has ended and another one has started."""
    return not alive(worker) and bool(set(children(server.process.pid)) - {worker})


def begin(keyed, name, text, **more):
    """Send a request, and return its connection."""
    connection = http.client.HTTPConnection("127.0.0.1", keyed.server.port, timeout=DEADLINE)
    body = {"model": MODEL, "messages": [{"role": "user", "content": text}], **more}
    headers = {"Content-Type": "application/json", **keyed.header(name)}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    return connection


def read_text(response):
    """Read a stream up to its first text."""
    while b'"content":"w1' not in response.readline():
        pass


@pytest.mark.parametrize("stream", [False, True])
def test_what_was_answered_is_booked(keyed, stream):
    """When a client has its answer, the stored usage equals the answer's."""
    before = spent(keyed, "alice")
    asked = '[[deltas 5]] [[usage {"input_tokens": 70, "cache_read_input_tokens": 30}]]'
    if stream:
        events = keyed.server.stream(
            asked, stream_options={"include_usage": True}, headers=keyed.header("alice")
        )[0]
        told = events[-1]["usage"]
    else:
        told = keyed.ask("alice", asked)[1]["usage"]
    after = spent(keyed, "alice")
    assert after["requests"] - before["requests"] == 1
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert after[name] - before[name] == told[name]
    assert after["cached_tokens"] - before["cached_tokens"] == 30
    assert after["cost_usd"] - before["cost_usd"] == pytest.approx(told["cost_usd"])


def test_who_sees_what(keyed):
    """Callers see their own usage by day and model; an admin sees all keys."""
    keyed.ask("bob", "hello", model="haiku", **PLAIN)
    mine = keyed.usage("bob")["data"]
    assert {row["key"] for row in mine} == {"bob"}
    assert all("haiku" in row["model"] and row["requests"] for row in mine)
    keyed.ask("alice", "hello", **PLAIN)
    assert {"alice", "bob"} <= {row["key"] for row in keyed.usage("chief")["data"]}
    assert {row["key"] for row in keyed.usage("chief", "?key=bob")["data"]} == {"bob"}
    status, _, body = keyed.call("bob", "GET", "/v1/usage?key=alice")
    assert (status, body["error"]["param"]) == (403, "key")
    status, _, body = keyed.call("bob", "GET", "/v1/usage?start=yesterday")
    assert (status, body["error"]["param"]) == (400, "start")
    assert keyed.usage("bob", "?start=2020-01-01&end=2020-12-31")["data"] == []


@pytest.mark.parametrize(("name", "budget"), [("poor", "usd_per_day"), ("month", "usd_per_month")])
def test_budget(keyed, upstream, name, budget):
    """Below the budget a turn runs. Once it is used up, the next turn is refused at no cost."""
    assert keyed.ask(name, DEAR, **PLAIN)[0] == 200
    with keyed.client(name) as client, pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}])
    assert caught.value.code == caught.value.type == "insufficient_quota"
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert budget in str(caught.value)
    assert len(upstream.requests) == 1
    told = keyed.usage(name)["budgets"][budget]
    assert (told["limit_usd"], told["spent_usd"]) == (0.003, pytest.approx(0.003015))


@pytest.mark.parametrize(("name", "stream"), [("loop", False), ("loop-streamed", True)])
def test_a_budget_ends_a_turn(keyed, upstream, name, stream):
    """Once the budget is spent an agent's turn ends with its answer so far, and says so."""
    if stream:
        events = keyed.server.stream(LOOP, headers=keyed.header(name))[0]
        (last,) = [event for event in events if event["choices"][0]["finish_reason"]]
        reason, notes = last["choices"][0]["finish_reason"], last["notes"]
    else:
        status, notes, body = keyed.post(name, LOOP)
        assert status == 200, body
        assert body["choices"][0]["message"]["content"] == "on\n\n" * 3 + "on"
        assert body["usage"]["cost_usd"] == pytest.approx(0.012, rel=0.1)
        reason = body["choices"][0]["finish_reason"]
    assert (reason, notes["x-ended-early"]) == ("length", "insufficient_quota")
    assert len(upstream.requests) == 4
    told = spent(keyed, name)
    assert told["cost_usd"] == pytest.approx(0.012, rel=0.1)
    assert told["unpriced_usd"] == 0
    assert keyed.ask(name, "hello")[1]["error"]["code"] == "insufficient_quota"


def test_turns_at_once_share_a_budget(keyed, upstream):
    """Simultaneous agents of a key overspend by one request each at most."""
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: keyed.ask("loops", LOOP), range(3)))
    ran = [body for status, body in answers if status == 200]
    assert {body["choices"][0]["finish_reason"] for body in ran} == {"length"}
    assert 4 <= len(upstream.requests) <= 6
    assert spent(keyed, "loops")["cost_usd"] <= 0.01 + 3 * 0.0032


def test_eight_at_once(keyed, upstream):
    """Turns that run when the budget is reached are answered and stored; no further turn runs."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda _: keyed.ask("eight", f"{DEAR} [[wait 2]]", **PLAIN), "8" * 8)
        )
    assert [status for status, _ in answers] == [200] * 8
    costs = [body["usage"]["cost_usd"] for _, body in answers]
    assert spent(keyed, "eight")["cost_usd"] == pytest.approx(sum(costs))
    assert spent(keyed, "eight")["requests"] == 8
    status, body = keyed.ask("eight", "hello")
    assert (status, body["error"]["code"]) == (429, "insufficient_quota")
    assert len(upstream.requests) == 8


@pytest.mark.parametrize("profile", ["plain", "agent"])
@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_pays(keyed, upstream, profile, stream):
    """Usage of a client that disconnects is stored, with the CLI's price."""
    before = spent(keyed, "alice")
    text = '[[deltas 5]] [[stall 20]] [[usage {"input_tokens": 1000}]]'
    connection = begin(keyed, "alice", text, stream=stream, claude={"profile": profile})
    assert upstream.wait_for(bool)
    if stream:
        read_text(connection.getresponse())
    else:  # until its usage is stored
        assert eventually(lambda: spent(keyed, "alice")["requests"] > before["requests"])
    connection.close()
    assert eventually(lambda: spent(keyed, "alice")["cost_usd"] > before["cost_usd"])
    after = spent(keyed, "alice")
    assert after["prompt_tokens"] - before["prompt_tokens"] == 1000
    assert after["cost_usd"] - before["cost_usd"] == pytest.approx(0.003, rel=0.1)
    assert after["unpriced_usd"] == before["unpriced_usd"]
    assert upstream.wait_for(lambda seen: seen[0].ended == "aborted")


def test_limits_hide_nothing(keyed, upstream):
    """With a budget the price of an agent's turn that ends at max_tokens is known, too."""
    asked = "[[deltas 5]] [[stall 2]] [[stop max_tokens]]"  # a second request is not answered soon
    status, body = keyed.ask("short", asked, max_tokens=5)
    assert (status, body["choices"][0]["finish_reason"]) == (200, "length")
    assert body["choices"][0]["message"]["content"] == "w1 w2 w3 w4 w5"
    assert body["usage"]["cost_usd"] > 0
    assert spent(keyed, "short")["unpriced_usd"] == 0
    assert len(upstream.requests) <= 2


def test_a_turn_without_a_price_counts_as_dear(serve, tmp_path, upstream):
    """A process that ends before it tells its cost counts at list price."""
    poor = {"alice": {"usd_per_day": 0.0001}}
    keyed = KeyedGateway(serve, tmp_path, poor, POOL_SIZE_OTHER="0", POOL_SIZE="1")
    connection = begin(keyed, "alice", "[[deltas 5]] [[stall 20]]")
    assert eventually(lambda: spent(keyed, "alice")["requests"] == 1)
    for pid in keyed.server.claudes():
        os.kill(pid, signal.SIGKILL)
    assert connection.getresponse().status == 502
    connection.close()
    total = spent(keyed, "alice")
    assert total["prompt_tokens"] > 0
    assert (total["cost_usd"], total["unpriced_usd"] > 0.0001) == (0, True)
    status, body = keyed.ask("alice", "hello")
    assert (status, body["error"]["code"]) == (429, "insufficient_quota")


def test_failed_turns_are_booked(keyed, upstream):
    """A turn that fails after some rounds costs what these cost."""
    before = spent(keyed, "alice")
    text = '[[tool Bash {"command": "echo a"}]] [[break 529]] [[usage {"input_tokens": 1000}]]'
    status, _ = keyed.ask("alice", text)
    assert status >= 500
    after = spent(keyed, "alice")
    assert after["prompt_tokens"] - before["prompt_tokens"] >= 1000
    dollars = [told["cost_usd"] + told["unpriced_usd"] for told in (before, after)]
    assert dollars[1] >= dollars[0] + 0.003


def test_nothing_is_lost_in_a_crash(serve, tmp_path, upstream):
    """After SIGKILL every answer and the usage of the interrupted turn are stored."""
    keyed = KeyedGateway(serve, tmp_path, {"alice": {}}, POOL_SIZE="2", POOL_SIZE_OTHER="2")
    told = [keyed.ask("alice", DEAR, **PLAIN)[1]["usage"] for _ in range(3)]
    connection = begin(
        keyed, "alice", '[[deltas 5]] [[stall 20]] [[usage {"input_tokens": 50}]]', stream=True
    )
    response = connection.getresponse()
    read_text(response)
    worker = keyed.server.worker
    os.kill(worker, signal.SIGKILL)
    with contextlib.suppress(http.client.IncompleteRead):
        response.read()
    connection.close()
    assert eventually(lambda: replaced(keyed.server, worker))
    keyed.server.wait()
    total = spent(keyed, "alice")
    assert total["requests"] == 4
    assert total["prompt_tokens"] == sum(usage["prompt_tokens"] for usage in told) + 50
    assert total["cost_usd"] == pytest.approx(sum(usage["cost_usd"] for usage in told))


@pytest.mark.thorough
def test_killed_at_the_very_moment(serve, tmp_path, upstream):
    """Wherever a crash falls between the turn and its storage, no whole answer is missing."""
    keyed = KeyedGateway(serve, tmp_path, {"alice": {}}, POOL_SIZE="0", POOL_SIZE_OTHER="1")
    answered = 0
    for delay in (0.0, 0.003, 0.03):
        done = threading.Event()
        worker = keyed.server.worker

        def kill(pid=worker, delay=delay, done=done):
            # The model is done: the gateway now reads, stores and answers.
            upstream.wait_for(lambda seen: any(one.ended == "done" for one in seen))
            done.wait(delay)
            os.kill(pid, signal.SIGKILL)

        upstream.clear()
        killer = threading.Thread(target=kill)
        killer.start()
        with contextlib.suppress(ConnectionError, http.client.HTTPException):
            status, _ = keyed.ask("alice", DEAR, **PLAIN)
            answered += status == 200
        killer.join()
        assert eventually(functools.partial(replaced, keyed.server, worker))
        keyed.server.wait()
        assert spent(keyed, "alice")["completion_tokens"] >= answered
        assert spent(keyed, "alice")["cost_usd"] >= answered * 0.003015 - 1e-9


def test_kept_across_restarts(serve, tmp_path):
    """Another gateway with the same USAGE_DB knows usage and budgets."""
    settings = {"USAGE_DB": str(tmp_path / "usage" / "usage.db"), "POOL_SIZE_OTHER": "1"}
    keyed = KeyedGateway(serve, tmp_path, {"alice": {"usd_per_day": 0.003}}, **settings)
    assert keyed.ask("alice", DEAR, **PLAIN)[0] == 200
    before = {**keyed.usage("alice"), "forecast": ANY}
    keyed.server.stop()
    keyed.server = serve(API_KEYS_FILE=str(keyed.file), **settings).wait()
    assert keyed.usage("alice") == before
    assert keyed.ask("alice", DEAR, **PLAIN)[1]["error"]["code"] == "insufficient_quota"


@pytest.mark.parametrize("required", [False, True])
def test_usage_that_cannot_be_stored(serve, tmp_path, required):
    """Without a writable USAGE_DB turns go on with warnings or are refused; later all is stored."""
    folder = tmp_path / "books"
    folder.write_text("in the way of the directory")
    keyed = KeyedGateway(
        serve,
        tmp_path,
        {"alice": {}},
        USAGE_DB=str(folder / "usage.db"),
        USAGE_REQUIRED=str(required).lower(),
        POOL_SIZE_OTHER="1",
    )
    status, body = keyed.ask("alice", DEAR, **PLAIN)
    if required:
        assert (status, body["error"]["code"]) == (503, "unavailable")
        assert "USAGE_REQUIRED" in body["error"]["message"]
    else:
        assert status == 200
        assert keyed.server.health()["usage"]["unbooked"] == 1
    assert keyed.server.health()["status"] == "degraded"
    assert keyed.server.health()["usage"]["status"] == "failing"
    assert "usage.db" in keyed.server.log()
    folder.unlink()
    assert keyed.ask("alice", DEAR, **PLAIN)[0] == 200
    assert spent(keyed, "alice")["requests"] == (1 if required else 2)
    assert keyed.server.health()["usage"] == {"status": "ok", "unbooked": 0}
