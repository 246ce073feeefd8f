"""Nothing of a turn reaches the next conversation that its process runs."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest

from tests.support.found_files import files_in
from tests.support.keyed_gateway import KeyedGateway
from tests.support.server import MODEL
from tests.support.session_client import last_process
from wrapper.services.claude.processes.trials.comparison import compare
from wrapper.services.claude.processes.trials.recorder import Request

PROFILES = ("plain", "agent")
PLANT = "swordfish"
SESSION = "X-Claude-Code-Session-Id"
FILE = f"data:text/plain;base64,{base64.b64encode(PLANT.encode()).decode()}"
USED = json.dumps({"input_tokens": 1000, "cache_read_input_tokens": 70, "output_tokens": 9})


def said(*texts: Any) -> dict[str, Any]:
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]}


# What a turn plants, each in a place of its own. None of it is part of what binds a process.
PAST: dict[str, dict[str, Any]] = {
    "a secret": said(f"The password is {PLANT}."),
    "an answer": said(f"[[say {PLANT}]]"),
    "a conversation": said(PLANT, f"{PLANT}?", "[[recall]]"),
    "settings": {"temperature": 0.5, "max_tokens": 77, "stop": [PLANT], **said("hi")},
    "an effort": {"reasoning_effort": "high", **said("hi")},
    "names": {"user": PLANT, "metadata": {PLANT: PLANT}, **said("hi")},
    "usage": said(f"[[usage {USED}]] {PLANT}"),
}
PLAIN: dict[str, dict[str, Any]] = {
    "a file": said([{"type": "file", "file": {"filename": f"{PLANT}.txt", "file_data": FILE}}]),
    "another model": {"model": "claude-haiku-4-5", **said(PLANT)},
}


@pytest.fixture(scope="module")
def _keyed(_servers, tmp_path_factory):
    keys: dict[str, dict[str, Any]] = {
        name: {"usd_per_day": 9.0} for profile in PROFILES for name in (profile, f"fresh-{profile}")
    }
    keys["known-agent"] = {}
    sizes = {"POOL_SIZE": "1", "POOL_SIZE_OTHER": "1", "LOG_LEVEL": "debug"}
    return KeyedGateway(
        _servers, tmp_path_factory.mktemp("keyed"), keys, POOL_RECYCLE="true", **sizes
    )


@pytest.fixture
def keyed(_keyed, upstream):
    """A gateway that recycles processes of both profiles. Each key has a budget."""
    return _keyed


class Asked:
    """A request of the key *name*: its answer, its process, and what the model's API got."""

    def __init__(self, keyed, upstream, name, **body):
        upstream.clear()
        profile = {"profile": name.rpartition("-")[2]}
        body = {"model": MODEL, "claude": profile, **said("hello"), **body}
        status, self.headers, self.answer = keyed.call(name, "POST", "/v1/chat/completions", body)
        assert status == 200, self.answer
        self.process = last_process(keyed.server)
        keyed.server.at_rest()
        (sent,) = upstream.requests
        self.session = sent.headers[SESSION]
        # Each process has a directory of its own.
        raw = re.sub(rb"/[^\"\\ ]*/work\b", b"WORK", sent.raw)
        self.request = Request("/v1/messages", sent.headers, raw)
        self.everything = f"{self.request} {self.headers} {self.answer}"

    @property
    def cost(self):
        return self.answer["usage"]["cost_usd"]

    @property
    def usage(self):
        return {name: value for name, value in self.answer["usage"].items() if name != "cost_usd"}

    @property
    def ids(self):
        return {self.answer["id"], self.headers["x-request-id"]}


@pytest.mark.parametrize("profile", PROFILES)
def test_nothing_stays(keyed, upstream, profile):
    """The next conversation's whole request, answer, usage and cost are as from a new process."""
    expected = Asked(keyed, upstream, f"fresh-{profile}")
    told = []
    for kind, past in {**PAST, **(PLAIN if profile == "plain" else {})}.items():
        first = Asked(keyed, upstream, profile, **past)
        then = Asked(keyed, upstream, profile)
        told += [first.cost, then.cost]
        assert then.process == first.process, kind
        assert not compare(expected.request, then.request), kind
        assert PLANT not in then.everything, kind
        assert (then.usage, then.cost) == (expected.usage, pytest.approx(expected.cost)), kind
        assert not first.ids & then.ids, kind
        assert first.session != then.session, kind
    total = keyed.usage(profile)["total"]
    assert (total["requests"], total["cost_usd"]) == (len(told), pytest.approx(sum(told)))
    kept = [file for home in keyed.server.homes() for file in files_in(home) if file.is_file()]
    assert not [file for file in kept if PLANT.encode() in file.read_bytes()]


def test_a_known_conversation_goes_on(keyed, upstream):
    """An agent keeps a conversation of several messages, which is cleared only for another one."""
    texts = ["One.", "Two.", "Three."]
    first = Asked(keyed, upstream, "known-agent", **said(*texts))
    texts += [first.answer["choices"][0]["message"]["content"], "Four."]
    for body, source in ((said(*texts), "parked"), (said("Five."), "recycled")):
        then = Asked(keyed, upstream, "known-agent", **body)
        assert f"desc={source}" in then.headers["server-timing"]
        assert then.process == first.process
