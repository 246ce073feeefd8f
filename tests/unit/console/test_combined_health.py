"""The health of several workers as one."""

import pytest

from wrapper.console.combined_health import combine

ERROR = "it is broken; mend it"
WELL = {
    "status": "ok",
    "login": {"status": "ok"},
    "pools": {"agent": {"status": "ready", "ready": 2, "booting": 1}},
    "parked": 3,
    "recycled": 1,
    "trials": {"agent": {"failed": {}}},
    "warm_up": {"agent": {"status": "on"}},
    "ignored_frames": {},
    "turns": {"running": 1, "waiting": 2, "places": 4, "approvals": 0},
    "usage": {"status": "ok", "unbooked": 0},
}


def test_one_worker():
    """The health of one worker is its own."""
    assert combine([WELL]) is WELL


def test_sums():
    """What can be counted is summed up."""
    both = combine([WELL, WELL])
    assert both["turns"] == {"running": 2, "waiting": 4, "places": 8, "approvals": 0}
    assert both["pools"] == {"agent": {"status": "ready", "ready": 4, "booting": 2}}
    assert (both["parked"], both["recycled"]) == (6, 2)
    assert both["status"] == "ok"


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("login", {"status": "refused", "error": ERROR}),
        ("usage", {"status": "failing", "unbooked": 3, "error": ERROR}),
        ("trials", {"agent": {"failed": {"rules": ERROR}}}),
        ("warm_up", {"agent": {"status": "off", "error": ERROR}}),
        ("sessions", {"status": "failing", "error": ERROR}),
    ],
)
def test_what_is_not_well(name, state):
    """What is not well in one worker is not well, whichever it is."""
    bad = {**WELL, name: state}
    assert combine([WELL, bad])[name] == combine([bad, WELL])[name] == state


def test_jobs():
    """All workers see the same jobs: their numbers are those of the worker that has seen most."""
    jobs = {"status": "ok", "waiting": {"batch": 2}, "running": {"batch": 0}}
    late = {"status": "ok", "waiting": {"batch": 0}, "running": {"batch": 1}}
    both = combine([{**WELL, "jobs": late}, {**WELL, "jobs": jobs}])
    assert both["jobs"] == {"status": "ok", "waiting": {"batch": 2}, "running": {"batch": 1}}


def test_pool_of_one_worker():
    """A pool that fails in one worker says why, with the processes of the others."""
    pool = {"status": "failing", "ready": 0, "booting": 0, "error": ERROR}
    both = combine([WELL, {**WELL, "pools": {"agent": pool}}])
    assert both["pools"]["agent"] == {**pool, "ready": 2, "booting": 1}


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        (("failing", "failing"), "failing"),
        (("ok", "failing"), "degraded"),
        (("ok", "degraded"), "degraded"),
        (("ok", "starting"), "ok"),
        (("starting", "starting"), "starting"),
    ],
)
def test_status(statuses, status):
    """The gateway serves while one worker does, and is impaired if another does not."""
    assert combine([{**WELL, "status": each} for each in statuses])["status"] == status
