"""Responses in the background with the real Claude Code, gunicorn and OpenAI's client."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from functools import partial

import openai
import pytest

from tests.live.test_batches import begin, body
from tests.support.server import MODEL, alive, children, connected, eventually
from tests.support.webhooks import SECRET, Receiver

# Five times the second that the docs promise.
CANCEL = 5.0
LONG = "[[deltas 3]] [[stall 300]]"


class Client:
    """OpenAI's client, which opens a connection for each request, so that any worker may get it."""

    def __init__(self, server):
        headers = {"Connection": "close"}
        self._client = openai.OpenAI(
            base_url=server.url, api_key="sk-x", max_retries=0, default_headers=headers
        )
        self.responses = self._client.responses
        self.files, self.batches = self._client.files, self._client.batches

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._client.close()

    def begin(self, text, **fields):
        response = self.responses.create(model=MODEL, input=text, background=True, **fields)
        assert response.status == "queued"
        return response.id

    def follow(self, id_, after=None):
        options = {} if after is None else {"starting_after": after}
        with self.responses.retrieve(id_, stream=True, **options) as events:
            yield from events

    def until_text(self, id_):
        """Wait until the response has some output."""
        assert any(event.type == "response.output_text.delta" for event in self.follow(id_))

    def ended(self, id_, status):
        """Wait until the response has this status, and return it."""

        def read():
            with contextlib.suppress(openai.APIConnectionError):  # of a worker that is killed
                response = self.responses.retrieve(id_)
                return response if response.status == status else None
            return None

        response = eventually(read)
        assert response, self.responses.retrieve(id_)
        return response


def cancelled(client, claudes):
    """Cancel a response that runs in one of the processes that *claudes* returns."""
    response = client.begin(LONG)
    client.until_text(response)
    process = connected(claudes())
    assert process
    until = time.monotonic() + CANCEL
    client.responses.cancel(response)
    assert eventually(lambda: not alive(process), until - time.monotonic())
    assert client.ended(response, "cancelled").output_text == "w1"
    return response


def completed(client):
    """Continue a response that was polled with one that is streamed. Return the first."""
    first = client.ended(client.begin("[[deltas 3]] remember: TULIP"), "completed")
    assert (first.output_text, first.usage.output_tokens > 0) == ("w1 w2 w3", True)
    second = client.begin("[[recall]]", previous_response_id=first.id)
    *_, last = client.follow(second)
    assert (last.type, last.response.output_text) == ("response.completed", "TULIP")
    return first


def left_by_a_stop(client, server):
    """Stop the *server* while a response runs and another waits. Return their ids."""
    running, waiting = client.begin(LONG), client.begin("[[say late]]")
    client.until_text(running)
    assert client.responses.retrieve(waiting).status == "queued"
    assert server.stop() == 0
    return running, waiting


def test_one_worker(serve, tmp_path):
    """A response is cancelled with its process, polled, streamed and continued.

    MAX_TIMEOUT does not end it. When the gateway restarts, the one that runs fails after its grace,
    and the one that waits runs.
    """
    start = partial(
        serve,
        JOBS_DB=str(tmp_path / "jobs.db"),
        BACKGROUND_TURNS="1",
        GRACEFUL_TIMEOUT="1",
        MAX_TIMEOUT="1",
        POOL_SIZE_OTHER="0",
        DEFAULT_PROFILE="plain",
    )
    server = start().wait()
    with Client(server) as client:
        assert client.responses.cancel(cancelled(client, server.claudes)).status == "cancelled"
        server.at_rest()
        first = completed(client)
        running, waiting = left_by_a_stop(client, server)
    with Client(start().wait()) as client:
        failed = client.responses.retrieve(running)
        assert failed.status == "failed"
        assert "shutting down" in failed.error.message
        assert client.ended(waiting, "completed").output_text == "late"
        assert client.responses.retrieve(first.id).output_text == "w1 w2 w3"
    assert "remember" not in server.log()


@pytest.fixture
def receiver():
    """The operator's receiver of events, which fails twice."""
    opened = Receiver((503, 503))
    yield opened
    opened.close()


def announced(receiver):
    """Return the type and the id of what each event is about."""
    return sorted((event["type"], event["data"]["id"]) for event in receiver.accepted())


def test_two_workers(serve, redis_server, receiver):
    """Any worker reads and streams a response, which fails for good if its worker is killed.

    The end of each response, and of a batch, is announced once.
    """
    redis = {"SESSION_STORE": redis_server.url, "REDIS_URL": redis_server.url}
    webhook = {"WEBHOOK_URL": receiver.url, "WEBHOOK_SECRET": SECRET}
    webhook |= {"WEBHOOK_PRIVATE_HOSTS": "127.0.0.1"}
    profile = {"DEFAULT_PROFILE": "plain", "POOL_SIZE": "1", "POOL_SIZE_OTHER": "0"}
    server = serve("-w", "2", **redis, **webhook, **profile).wait()
    with Client(server) as client:
        ids = [client.begin("[[deltas 20]] [[pause 0.02]]") for _ in range(4)]
        for id_ in ids:
            events = [*client.follow(id_)]
            assert [event.sequence_number for event in events] == list(range(len(events)))
            assert events[-1].response.output_text.startswith("w1 w2 w3 ")
            assert [*client.follow(id_, 5)] == events[6:]
            assert client.responses.retrieve(id_).output_text.endswith(" w20")
        line = body("/v1/chat/completions", "[[say yes]]")
        batch = begin(client, "/v1/chat/completions", line)
        ends = [("batch.completed", batch.id), *(("response.completed", id_) for id_ in ids)]
        assert eventually(lambda: len(announced(receiver)) == len(ends)), announced(receiver)

        lost = client.begin(LONG)
        client.until_text(lost)
        for worker in children(server.process.pid):
            os.kill(worker, signal.SIGKILL)
        response = client.ended(lost, "failed")
        assert (response.error.code, response.output_text) == ("worker_lost", "w1")
        *_, last = client.follow(lost)
        assert (last.type, last.response.id) == ("response.failed", lost)
        ends.append(("response.failed", lost))
        assert eventually(lambda: len(announced(receiver)) == len(ends)), announced(receiver)
        assert announced(receiver) == sorted(ends)
        client.responses.delete(lost)
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(lost)
