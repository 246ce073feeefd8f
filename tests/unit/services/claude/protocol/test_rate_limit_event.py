"""What Claude Code's rate_limit_event says; the frames are those of 2.1.330."""

from wrapper.services.claude.protocol.rate_limit_event import limits_of
from wrapper.services.provider_limits import Overage, ProviderLimits, Window

INFO = {
    "status": "allowed_warning",
    "resetsAt": 1796040000,
    "rateLimitType": "seven_day_opus",
    "utilization": 0.83,
    "overageStatus": "rejected",
    "overageDisabledReason": "org_level_disabled",
    "isUsingOverage": False,
    "unifiedWindows": {
        "five_hour": {"utilization": 0.4, "resetsAt": 1796030000, "status": "allowed"},
        "seven_day": {"utilization": 0.21, "resetsAt": 1796540000},
    },
}


def read(**changes):
    return limits_of({"rate_limit_info": {**INFO, **changes}})


def test_all_parts():
    """Windows, the one that the status is about, and overage are read."""
    assert read() == ProviderLimits(
        "allowed_warning",
        1796040000,
        (
            Window("seven_day_opus", "allowed_warning", 0.83, 1796040000),
            Window("five_hour", "allowed", 0.4, 1796030000),
            Window("seven_day", None, 0.21, 1796540000),
        ),
        Overage("rejected", None, False, "org_level_disabled"),
    )


def test_the_status_alone():
    """What is not reported is not known."""
    assert limits_of({"rate_limit_info": {"status": "allowed"}}) == ProviderLimits("allowed")


def test_nonsense():
    """Values of another type, and statuses that nobody knows, count as not reported."""
    assert limits_of({}) is None
    assert read(status="fine") is None
    odd = {"five_hour": {"utilization": True, "resetsAt": -1, "status": []}, "x" * 99: 7}
    limits = read(resetsAt="soon", utilization=float("nan"), unifiedWindows=odd)
    assert limits.resets_at is None
    assert limits.windows[0].used is None
    assert limits.windows[1:] == (Window("five_hour"), Window("x" * 40))
