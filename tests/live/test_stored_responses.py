"""Stored responses, with the real Claude Code and OpenAI's own client."""

from __future__ import annotations

import contextlib
import functools
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

from tests.support.keyed_gateway import KeyedGateway
from tests.support.redis_server import RedisServer
from tests.support.server import MODEL

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
PLAIN = {"claude": {"profile": "plain"}}
LOOP = '[[think Where is it?]] [[tool get_weather {"city": "Oslo"}]] [[result]]'
# More requests than one of two workers is likely to get all of.
ATTEMPTS = 8


@contextlib.contextmanager
def caller(url, key="unused"):
    """Yield the methods of the Responses API of OpenAI's client."""
    with openai.OpenAI(base_url=url, api_key=key, max_retries=0) as client:
        yield client.responses


@pytest.fixture
def responses(gateway):
    with caller(gateway.url) as responses:
        yield responses


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def start(_servers, redis):
    """Return a function that starts a gateway with two workers that share a Redis."""
    sizes = {"POOL_SIZE": "0", "POOL_SIZE_OTHER": "1"}
    shared = {"SESSION_STORE": redis.url, "REDIS_URL": redis.url}
    return functools.partial(_servers, "-w", "2", **shared, **sizes)


@pytest.fixture(scope="module")
def keyed(start, tmp_path_factory):
    return KeyedGateway(start, tmp_path_factory.mktemp("keyed"), {"alice": {}, "bob": {}})


def remember(responses, word, **fields):
    """Return a response whose input holds a *word* to remember."""
    text = f"remember: {word} [[say ok]]"
    return responses.create(model=MODEL, input=text, extra_body=PLAIN, **fields)


def recall(responses, previous):
    """Return the words that the model sees where it continues *previous*."""
    return responses.create(
        model=MODEL, input="[[recall]]", previous_response_id=previous, extra_body=PLAIN
    ).output_text


def test_chain_and_branches(responses):
    """Responses continue each other, and branches at the same time do not see one another."""
    root = remember(responses, "root")
    middle = remember(responses, "middle", previous_response_id=root.id)
    names = ("left", "right")
    with ThreadPoolExecutor(2) as pool:
        branches = list(
            pool.map(lambda name: remember(responses, name, previous_response_id=middle.id), names)
        )
    for branch, name, other in zip(branches, names, reversed(names), strict=True):
        answer = recall(responses, branch.id)
        assert all(word in answer for word in ("root", "middle", name))
        assert other not in answer


@pytest.mark.parametrize("streamed", [False, True])
def test_thinking_in_a_loop(responses, upstream, streamed):
    """The output of a call alone continues the response, with the model's signed thinking."""
    options = {"model": MODEL, "tools": [WEATHER], "reasoning": {"effort": "low"}}
    if streamed:
        with responses.stream(input=LOOP, **options) as events:
            for _ in events:
                pass
            first = events.get_final_response()
    else:
        first = responses.create(input=LOOP, **options)
    _, call = first.output
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "Cold."}
    second = responses.create(input=[output], previous_response_id=first.id, **options)
    assert second.output_text == "Cold."
    said = upstream.requests[-1].body["messages"][1]["content"]
    assert [block["type"] for block in said] == ["thinking", "tool_use"]
    assert said[0]["signature"]


def test_references(responses, upstream):
    """Vercel's AI SDK refers to what the model has said, and sends its calls whole."""
    options = {"model": MODEL, "tools": [WEATHER], "reasoning": {"effort": "low"}}
    reasoning, call = responses.create(input=LOOP, **options).output
    items = [
        {"role": "user", "content": LOOP},
        {"type": "item_reference", "id": reasoning.id},
        {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": "{}"},
        {"type": "function_call_output", "call_id": call.call_id, "output": "Cold."},
    ]
    assert responses.create(input=items, **options).output_text == "Cold."
    said = upstream.requests[-1].body["messages"][1]["content"]
    assert said[0]["thinking"] == "Where is it?"


def test_left_stream(responses, gateway, upstream):
    """The response of a client that leaves is not kept."""
    events = responses.create(model=MODEL, input="[[say a]] [[stall 30]]", stream=True)
    id_ = next(iter(events)).response.id
    events.close()
    with pytest.raises(openai.NotFoundError):
        responses.retrieve(id_)


def test_two_workers(keyed):
    """Workers share what is in Redis, and no key reaches another one's responses."""
    with keyed.client("alice") as alice, keyed.client("bob") as bob:
        last = remember(alice.responses, "fact0")
        for number in range(1, ATTEMPTS):
            last = remember(alice.responses, f"fact{number}", previous_response_id=last.id)
        answer = recall(alice.responses, last.id)
        assert all(f"fact{number}" in answer for number in range(ATTEMPTS))
        for ask in (bob.responses.retrieve, bob.responses.delete):
            with pytest.raises(openai.NotFoundError):
                ask(last.id)
        with pytest.raises(openai.BadRequestError, match="not found"):
            recall(bob.responses, last.id)


def test_restart(start):
    """After a restart, a response in Redis is continued."""
    first = start().wait()
    with caller(first.url) as responses:
        kept = remember(responses, "fact")
    first.stop()
    with caller(start().wait().url) as responses:
        assert recall(responses, kept.id) == "fact"
        assert responses.retrieve(kept.id).output_text == "ok"
