"""The prompt cache: a growing conversation repeats its beginning to the letter."""

from __future__ import annotations

import itertools
import json

import pytest

TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CONVERSATION = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "first"},
    {"role": "assistant", "content": "one"},
    {"role": "user", "content": "second"},
    {"role": "assistant", "content": "two"},
    {"role": "user", "content": "third"},
]


def without_marks(value):
    """Return *value* without cache marks and empty parts."""
    if isinstance(value, dict):
        return {k: without_marks(v) for k, v in value.items() if k != "cache_control"}
    return [without_marks(one) for one in value] if isinstance(value, list) else value


def marked(body):
    """Return the index of the last message up to which the body asks for caching."""
    found = [i for i, m in enumerate(body["messages"]) if "cache_control" in json.dumps(m)]
    return found[-1] + 1 if found else 0


def check_growth(bodies):
    """Check that each body begins with what the one before it asked to cache."""
    for before, after in itertools.pairwise(bodies):
        kept = marked(before)
        assert kept == len(before["messages"])
        for part in ("model", "system", "tools"):
            assert without_marks(before.get(part)) == without_marks(after.get(part)), part
        begins = without_marks(after["messages"][:kept])
        assert begins == without_marks(before["messages"][:kept])


@pytest.mark.parametrize("tools", [None, TOOLS])
def test_plain(gateway, upstream, tools):
    """In the plain profile each request begins with the one before, up to its cache mark."""
    for end in (2, 4, 6):
        status, _ = gateway.ask(
            "", messages=CONVERSATION[:end], tools=tools, claude={"profile": "plain"}
        )
        assert status == 200
    check_growth([request.body for request in upstream.requests])


def test_agent(gateway, upstream):
    """An agent's system prompt and tools stay the same; its reminders move to the end."""
    for end in (2, 4, 6):
        assert gateway.ask("", messages=CONVERSATION[:end], claude={"profile": "agent"})[0] == 200
    first, *others = (request.body for request in upstream.requests)
    for other in others:
        for part in ("system", "tools"):
            assert without_marks(other[part]) == without_marks(first[part])
