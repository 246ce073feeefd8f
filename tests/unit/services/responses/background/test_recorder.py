"""The recorder of events: numbers, joins and groups them, and keeps them within bounds."""

import json

import pytest

from wrapper.errors import RequestTooLarge
from wrapper.services.responses.background import recorder
from wrapper.services.responses.background.recorder import EventRecorder
from wrapper.services.responses.background.sqlite_log import SqliteEventLog

DONE = {"type": "response.output_text.done", "text": "abc"}


class Log(SqliteEventLog):
    """Remembers what is added to it."""

    def __init__(self):
        super().__init__("never opened")
        self.groups = []

    def append(self, id_, events):
        assert id_ == "resp_1"
        self.groups.append([json.loads(event.text) for event in events])


class World:
    def __init__(self, most=10**6):
        self.now = 100.0
        self.log = Log()
        self.recorder = EventRecorder(self.log, "resp_1", 2, most, lambda: self.now)

    def add(self, *events):
        for event in events:
            self.recorder.add(event)

    def texts(self):
        return [[event.get("delta", event["type"]) for event in group] for group in self.log.groups]


def delta(text, item="msg_1", kind="response.output_text.delta"):
    return {"type": kind, "sequence_number": 77, "item_id": item, "delta": text}


def test_numbers():
    """Events get numbers without a gap, whatever theirs were."""
    world = World()
    world.add(delta("a"), DONE, delta("b"), None)
    numbers = [event["sequence_number"] for group in world.log.groups for event in group]
    assert numbers == [2, 3, 4]


def test_groups():
    """The first event is logged at once, and those soon after it together."""
    world = World()
    world.add(delta("a"), delta("b"), DONE, delta("c"))
    assert world.texts() == [["a"]]
    world.now += 2 * recorder.PAUSE
    world.add(delta("d"))
    assert world.texts() == [["a"], ["b", DONE["type"], "cd"]]


def test_silence():
    """What is held back is logged as soon as nothing comes for a while."""
    world = World()
    world.add(delta("a"), delta("b"), None, None)
    assert world.texts() == [["a"], ["b"]]


def test_deltas():
    """Deltas that come close together are one, save those of another item or kind."""
    world = World()
    other = delta("e", kind="response.function_call_arguments.delta")
    world.add(delta("a"), delta("b"), delta("c"), delta("d", item="msg_2"), other, None)
    assert world.texts() == [["a"], ["bc", "d", "e"]]


def test_large_groups():
    """Events are logged before a group grows too large."""
    world = World()
    world.add(DONE, {**DONE, "text": "x" * recorder.GROUP}, DONE)
    assert [len(group) for group in world.log.groups] == [1, 1]


def test_most():
    """More than a response may have is an error once, so that its failure can be logged."""
    world = World(most=150)
    world.add(DONE)
    with pytest.raises(RequestTooLarge, match="SESSION_MAX_BYTES"):
        world.add(DONE, DONE)
    world.add({"type": "response.failed"}, None)
    assert world.texts()[-1][-1] == "response.failed"
