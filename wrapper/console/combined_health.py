"""The health of several workers as one, in the form of /health."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wrapper.json_text import Json

OK = "ok"
SUMS = ("recycled", "parked")
# Parts that have a state by name, such as that of a profile.
BY_NAME = ("pools", "warm_up", "trials")
JOB_STATES = ("waiting", "running")
STATES_OF_POOLS = ("ready", "booting")


def combine(healths: Sequence[Json]) -> Json:
    """Return the health of a gateway whose workers have these *healths*.

    A part that is not well in one of them is not well. The gateway serves while one of them does.
    """
    if len(healths) == 1:
        return healths[0]
    names = dict.fromkeys(name for health in healths for name in health)
    return {name: _combined(name, [h[name] for h in healths if name in h]) for name in names}


def _combined(name: str, values: Sequence[Any]) -> Any:
    if name == "status":
        return _status(values)
    if name in SUMS:
        return sum(values)
    if name == "turns":
        return _sums(values)
    if name == "jobs":
        return {**_state(name, values), **{state: _most(values, state) for state in JOB_STATES}}
    if name in BY_NAME:
        keys = dict.fromkeys(key for each in values for key in each)
        return {key: _state(name, [each[key] for each in values if key in each]) for key in keys}
    return _state(name, values)


def _status(statuses: Sequence[str]) -> str:
    """Return what all workers are, or else what those are like that serve."""
    if len(set(statuses)) == 1:
        return statuses[0]
    return "degraded" if {"degraded", "failing"} & set(statuses) else OK


def _state(name: str, states: Sequence[Any]) -> Any:
    """Return the first state that is not well, or else the first one."""
    if not isinstance(states[0], Mapping):
        return states[0]
    worst = next((state for state in states if not _is_well(state)), states[0])
    if name == "pools":
        return {**worst, **_sums([{k: each.get(k, 0) for k in STATES_OF_POOLS} for each in states])}
    return worst


def _most(jobs: Sequence[Mapping[str, Any]], state: str) -> dict[str, int]:
    """Return the numbers of jobs in *state*. All workers see the same jobs, some of them later."""
    most: dict[str, int] = {}
    for each in jobs:
        for kind, number in each[state].items():
            most[kind] = max(number, most.get(kind, 0))
    return most


def _is_well(state: Mapping[str, Any]) -> bool:
    return not state.get("error") and not state.get("failed") and state.get("status") != "failing"


def _sums(numbers: Iterable[Mapping[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for each in numbers:
        for name, number in each.items():
            sums[name] = sums.get(name, 0) + number
    return sums
