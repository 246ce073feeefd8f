"""Webhooks: who gets which event, and what callers see of that."""

from __future__ import annotations

import logging
import threading

import pytest

from tests.support.log_records import records_of
from tests.support.server import eventually
from tests.support.threads import no_thread
from tests.support.webhooks import OTHER_SECRET, SECRET, Receiver, verified
from wrapper.auth.key_file import KeyFile
from wrapper.errors import InvalidRequest, Unavailable
from wrapper.services.principal import DEFAULT, Principal
from wrapper.services.webhooks.event import OPERATOR, TYPES
from wrapper.services.webhooks.service import Webhooks, open_webhooks
from wrapper.settings import Settings

ALICE, ADMIN = Principal("alice"), Principal("root", admin=True)
HASH = "0123456789abcdef" * 4


@pytest.fixture
def receiver():
    opened = Receiver()
    yield opened
    opened.close()


@pytest.fixture
def opened(tmp_path, receiver):
    """Return a function that opens the webhooks of a worker. Alice has one, and bob has none."""
    started = []

    def open_another(**more):
        settings = Settings(
            usage_db=str(tmp_path / "usage.db"), webhook_private_hosts=("127.0.0.1",), **more
        )
        file = tmp_path / "keys.toml"
        file.write_text(
            f'[keys.alice]\nsha256 = "{HASH}"\nwebhook_url = "{receiver.url}?who=alice"\n'
            f'webhook_secret = "{SECRET}"\n[keys.bob]\nsha256 = "{HASH[::-1]}"\n'
        )
        started.append(open_webhooks(settings, KeyFile(file, settings), lambda *_: None))
        return started[-1]

    yield open_another
    for webhooks in started:
        webhooks.close()


@pytest.fixture
def operated(opened, receiver):
    return opened(webhook_url=receiver.url, webhook_secret=OTHER_SECRET)


def shown(webhooks, principal=ADMIN, after="", limit=50):
    return webhooks.deliveries(principal, after, limit)[0]


@pytest.mark.parametrize(
    ("owner", "type_", "keys"),
    [
        ("alice", "response.completed", {"alice"}),
        ("alice", "budget.threshold_reached", {"alice", None}),
        ("bob", "response.completed", set()),
        ("bob", "approval.waiting", {None}),
        (OPERATOR, "login.failed", {None}),
        (DEFAULT.name, "response.completed", {None}),
    ],
)
def test_recipients(operated, receiver, owner, type_, keys):
    """An event goes to its owner's webhook; the operator's gets some of others, and its own."""
    operated.announce(owner, type_, {"id": "x"}, "1")
    assert eventually(lambda: len(receiver.received) == len(keys))
    operated.close()
    assert {each["key"] for each in shown(operated)} == keys
    assert {each["status"] for each in shown(operated)} <= {"delivered"}


def test_no_thread(operated, receiver, monkeypatch):
    """Where the machine has no thread, an event waits until the next one."""
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_thread)
        operated.announce("alice", "response.completed", {"id": "x"}, "1")
    operated.announce("alice", "response.completed", {"id": "y"}, "2")
    assert eventually(lambda: len(receiver.received) == 2)


def test_secrets(operated, receiver):
    """Each recipient's events are signed with its own secret."""
    operated.announce("alice", "approval.waiting", {"id": "apr_1"}, "1")
    assert eventually(lambda: len(receiver.received) == 2)
    secrets = {"/hook?who=alice": SECRET, "/hook": OTHER_SECRET}
    assert {each.path for each in receiver.received} == {*secrets}
    for each in receiver.received:
        assert verified(each.body, each.headers, secrets[each.path])["data"] == {"id": "apr_1"}


def test_what_callers_see(operated, receiver):
    """A caller sees their own deliveries, an admin all; nobody sees a secret or a query."""
    operated.announce("alice", "approval.waiting", {"id": "apr_1"}, "1")
    operated.announce("bob", "approval.waiting", {"id": "apr_2"}, "2")
    assert eventually(lambda: len(receiver.received) == 3)
    operated.close()
    (own,) = shown(operated, ALICE)
    assert (own["key"], own["url"]) == ("alice", receiver.url)
    assert (own["type"], own["status"], own["attempts"]) == ("approval.waiting", "delivered", 1)
    assert (own["last_status"], own["last_error"], own["next_attempt_at"]) == (200, None, None)
    assert len(shown(operated)) == 3
    assert shown(operated, Principal("bob")) == []
    assert SECRET not in str(shown(operated))
    first, more = operated.deliveries(ADMIN, "", 2)
    assert (len(first), more) == (2, True)
    rest, more = operated.deliveries(ADMIN, first[-1]["id"], 2)
    assert (len(rest), more) == (1, False)
    with pytest.raises(InvalidRequest, match="after"):
        operated.deliveries(Principal("bob"), own["id"], 2)


def test_nobody_gets_events(tmp_path):
    """Without a webhook, nothing is stored, no thread runs, and /health says nothing of it."""
    webhooks = open_webhooks(Settings(usage_db=str(tmp_path / "usage.db")), None, lambda *_: None)
    webhooks.start()
    calls = []
    webhooks.announce("local", "approval.waiting", {}, "1", lambda: calls.append("stored"))
    assert calls == ["stored"]  # as nothing is to be stored
    assert webhooks.health() is None
    webhooks.close()
    assert not (tmp_path / "usage.db").exists()


def test_announce_never_raises(operated, caplog):
    """A mistake in an announcement is logged, and fails nothing else."""
    operated.announce("alice", "no.such.type", {}, "1")
    operated.announce("alice", "approval.waiting", {"id": object()}, "1")
    assert [record.levelno for record in records_of(caplog, Webhooks)] == [logging.ERROR] * 2
    operated.close()
    operated.announce("alice", "approval.waiting", {"id": "x"}, "1")


def test_a_store_that_cannot_be_read(tmp_path):
    """If the store fails, the list is a 503 that says why."""
    (tmp_path / "file").touch()
    webhooks = open_webhooks(
        Settings(usage_db=str(tmp_path / "file" / "usage.db")), None, lambda *_: None
    )
    with pytest.raises(Unavailable, match="USAGE_DB"):
        webhooks.deliveries(ADMIN, "", 5)


def test_survives_a_restart(opened, receiver):
    """What one worker could not deliver is delivered by the next one, once."""
    receiver.statuses = [500, 500]
    first = opened()
    first.announce("alice", "response.completed", {"id": "resp_1"}, "1")
    assert eventually(lambda: receiver.received)
    first.close()
    second = opened()
    second.start()
    assert eventually(receiver.accepted)
    second.announce("alice", "response.completed", {"id": "resp_1"}, "1")
    second.close()
    assert [event["data"] for event in receiver.accepted()] == [{"id": "resp_1"}]
    assert len(receiver.received) == 3


def test_types():
    """All of OpenAI's types of responses and batches are there, under its names."""
    ends = {
        "response": ("completed", "failed", "incomplete", "cancelled"),
        "batch": ("completed", "failed", "expired", "cancelled"),
    }
    assert {f"{kind}.{end}" for kind, all_ends in ends.items() for end in all_ends} <= {*TYPES}
