"""The headers of responses: one for each note, and nothing for what is not noted."""

from typing import Any

import pytest

from wrapper.errors import Overloaded
from wrapper.notes import BudgetWarning, Notes, RateState, TimedPart
from wrapper.routes.headers import ANSWER, MOST_PATHS, error_headers, note_headers

EVERYTHING = Notes(
    "claude-2",
    ("a", "b"),
    ("c",),
    ("d",),
    ("messages.0",),
    ("e",),
    ("f",),
    "insufficient_quota",
    ("g",),
    ("h",),
    ("i",),
    True,
    0.00123,
    (TimedPart("queue", 0.001), TimedPart("lease", 0.002, "warm")),
    (RateState("requests", 5, 4, 60), RateState("tokens", 100, 90, 30)),
    ("opus",),
    (BudgetWarning("usd_per_day", 100), BudgetWarning("usd_per_month", 80)),
)


def test_each_note_has_its_header():
    """Every note stands in its header, and every header of an answer has a meaning."""
    headers = note_headers(EVERYTHING)
    assert headers == {
        "x-cost-usd": "0.001230000",
        "x-model-remapped": "claude-2",
        "x-ignored-params": "a, b",
        "x-clamped-params": "c",
        "x-adapted-params": "d",
        "x-adapted-messages": "messages.0",
        "x-retried-params": "e",
        "x-ended-early": "insufficient_quota",
        "x-budget-warnings": "usd_per_day=100, usd_per_month=80",
        "x-unmet-params": "f",
        "x-resized-images": "g",
        "x-corrected-files": "h",
        "x-failed-checks": "i",
        "x-failed-models": "opus",
        "idempotent-replayed": "true",
        "server-timing": "queue;dur=1.0, lease;dur=2.0;desc=warm",
        "x-ratelimit-limit-requests": "5",
        "x-ratelimit-remaining-requests": "4",
        "x-ratelimit-reset-requests": "60s",
        "x-ratelimit-limit-tokens": "100",
        "x-ratelimit-remaining-tokens": "90",
        "x-ratelimit-reset-tokens": "30s",
    }
    assert set(headers) == set(ANSWER)


def test_nothing_noted():
    """Without notes there are no headers."""
    assert note_headers(Notes()) == {}


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ("x-ignored-params", "ignored_params"),
        ("x-clamped-params", "clamped_params"),
        ("x-adapted-params", "adapted_params"),
        ("x-adapted-messages", "adapted_messages"),
        ("x-retried-params", "retried_params"),
        ("x-unmet-params", "unmet_params"),
        ("x-resized-images", "resized_images"),
        ("x-corrected-files", "corrected_files"),
    ],
)
@pytest.mark.parametrize(
    ("path", "shown"), [("input.{}", MOST_PATHS), (f"{'x' * 90}.{{:03}}", 20), ("x" * 3000, 0)]
)
def test_many_paths(header, field, path, shown):
    """A header of paths stays short: of those that do not fit it gives only the number."""
    paths = tuple(path.format(at) for at in range(600))
    noted: dict[str, Any] = {field: paths}
    value = note_headers(Notes(**noted))[header]
    assert value == ", ".join([*paths[:shown], f"and {600 - shown} more"])
    assert len(value) < 2100


def test_an_errors_notes():
    """An error's notes stand beside what a client's library should do next."""
    error = Overloaded("Busy.", retry_after=3, notes=Notes(retried_params=("a",)))
    assert error_headers(error) == {"x-retried-params": "a", "Retry-After": "3"}
