"""What a worker does at the moment, and its form in a store."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from wrapper.json_text import Json
from wrapper.services.limits.admission import Admitted
from wrapper.services.resources import MachineState


@dataclass(frozen=True)
class WorkerState:
    """A worker's state: its process `pid` on the machine `host`, its `health` and its requests.

    `most_waiting` is the length of its queue. It `serves` HTTP, or else only runs jobs.
    """

    id: str
    host: str
    pid: int
    draining: bool
    most_waiting: int
    health: Json
    machine: MachineState
    requests: tuple[Admitted, ...]
    serves: bool = True


def encode(state: WorkerState) -> str:
    return json.dumps(asdict(state))


def decode(text: str) -> WorkerState:
    """Raises ValueError for a text that this version of the gateway has not written."""
    try:
        fields = json.loads(text)
        machine = MachineState(**fields.pop("machine"))
        requests = tuple(Admitted(**each) for each in fields.pop("requests"))
        return WorkerState(**fields, machine=machine, requests=requests)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"this is no worker's state: {error}") from None
