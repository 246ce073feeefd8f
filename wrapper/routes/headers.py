"""The headers of responses: their names, their meanings, and their values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from wrapper.errors import ApiError
from wrapper.notes import NO_NOTES, BudgetWarning, Notes, RateState, TimedPart

JSON_TYPE = "application/json"
REQUEST_ID = "x-request-id"
# Anthropic's name for it.
MESSAGE_REQUEST_ID = "request-id"
# OpenAI's name for it.
PROCESSING = "openai-processing-ms"
SHOULD_RETRY = "x-should-retry"
RETRY_AFTER = "Retry-After"
CONTENT_RANGE = "Content-Range"
# Proxies and clients limit the size of headers. A header of more or longer paths ends with the
# number of those that it leaves out.
MOST_PATHS = 50
MOST_CHARACTERS = 2000

# The meanings of the headers of all routes and of errors.
COMMON = {
    REQUEST_ID: "The id that the request came with, or a new one. The log has it, too.",
    MESSAGE_REQUEST_ID: "The same id, under the name of Anthropic's API.",
    PROCESSING: "Milliseconds until the answer was ready, or until a stream began.",
    SHOULD_RETRY: "Whether to retry automatically; false once the model has begun.",
    RETRY_AFTER: "The number of seconds after which to retry.",
    CONTENT_RANGE: "The part of the content that this is, or the length of all if it has none.",
    "Allow": "The methods that the path supports.",
    "WWW-Authenticate": "Sent if the caller's key is missing or wrong.",
}
# Responses are for the program that asked. A browser must not render, frame or cache them.
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
RATES = {
    "x-ratelimit-limit-requests": "The key's limit of requests per minute.",
    "x-ratelimit-remaining-requests": "The requests that remain of this limit.",
    "x-ratelimit-reset-requests": "The time until all of them are available again.",
    "x-ratelimit-limit-tokens": "The key's limit of tokens per minute.",
    "x-ratelimit-remaining-tokens": "The tokens that remain of this limit.",
    "x-ratelimit-reset-tokens": "The time until all of them are available again.",
}


def _paths(paths: Sequence[str]) -> str:
    ends = accumulate(len(path) + 2 for path in paths[:MOST_PATHS])
    shown = sum(end <= MOST_CHARACTERS for end in ends)
    more = [f"and {len(paths) - shown} more"] if len(paths) > shown else []
    return ", ".join((*paths[:shown], *more))


@dataclass(frozen=True)
class NoteHeader:
    """One header of an answer: its name, its meaning, and the field of the notes in it.

    *write* returns the header's value for the field's. An answer whose field is not set lacks it.
    """

    name: str
    meaning: str
    field: str
    write: Callable[[Any], str] = _paths


def _warnings(warnings: Iterable[BudgetWarning]) -> str:
    return ", ".join(f"{each.name}={each.percent}" for each in warnings)


def _timing(parts: Iterable[TimedPart]) -> str:
    """Return the value of Server-Timing, whose times are in milliseconds."""
    return ", ".join(
        f"{part.name};dur={part.seconds * 1000:.1f}{f';desc={part.source}' if part.source else ''}"
        for part in parts
    )


_TIMING = NoteHeader(
    "server-timing",
    "The milliseconds that each phase took, of the phases over when the header is sent.",
    "timing",
    _timing,
)
_NOTES = (
    NoteHeader(
        "x-cost-usd",
        "The cost of the turns in dollars; absent if unknown or streamed.",
        "cost_usd",
        "{:.9f}".format,
    ),
    NoteHeader(
        "x-model-remapped",
        "The retired model that the request named, if another model ran instead.",
        "model_remapped",
        str,
    ),
    NoteHeader(
        "x-failed-models",
        "The models that failed before another one was asked (`fallback_models`).",
        "failed_models",
    ),
    NoteHeader(
        "x-ignored-params",
        "The parameters of the request that had no effect.",
        "ignored_params",
    ),
    NoteHeader(
        "x-clamped-params",
        "The parameters that were changed to the nearest value that the model accepts.",
        "clamped_params",
    ),
    NoteHeader(
        "x-adapted-params",
        "The parameters that reach the model in another form, or only in words.",
        "adapted_params",
    ),
    NoteHeader(
        "x-adapted-messages",
        "The paths of the messages and their parts that reach the model in another form.",
        "adapted_messages",
    ),
    NoteHeader(
        "x-retried-params",
        "The parameters for which the model was asked again; in streams see `notes`.",
        "retried_params",
    ),
    NoteHeader(
        "x-ended-early",
        "insufficient_quota if the key's budget ran out during the turn.",
        "ended_early",
        str,
    ),
    NoteHeader(
        "x-budget-warnings",
        "The budgets of which 80, 90 or 100 percent are spent: usd_per_day=90.",
        "budget_warnings",
        _warnings,
    ),
    NoteHeader(
        "x-unmet-params",
        "The parameters whose demands the answer does not meet.",
        "unmet_params",
    ),
    NoteHeader(
        "x-resized-images",
        "The paths of images that reach the model in a smaller size.",
        "resized_images",
    ),
    NoteHeader(
        "x-corrected-files",
        "The paths of images and files whose declared type was wrong, and of images whose "
        "metadata had a wrong checksum.",
        "corrected_files",
    ),
    NoteHeader(
        "x-failed-checks",
        "The checks that the installed Claude Code fails and the request depends on.",
        "failed_checks",
    ),
    NoteHeader(
        "idempotent-replayed",
        "true if this is the stored answer to an earlier attempt of the same request.",
        "replayed",
        lambda _: "true",
    ),
    _TIMING,
)
_UNSET = vars(NO_NOTES)

TIMING = {_TIMING.name: _TIMING.meaning}
# The meanings of the headers of an answer.
ANSWER = {**{header.name: header.meaning for header in _NOTES}, **RATES}
# The headers that a browser may show to pages of other origins.
EXPOSED = (REQUEST_ID, MESSAGE_REQUEST_ID, PROCESSING, *ANSWER)


def note_headers(notes: Notes) -> dict[str, str]:
    """Return the headers that carry *notes*."""
    fields = vars(notes)
    headers = {
        header.name: header.write(fields[header.field])
        for header in _NOTES
        if fields[header.field] != _UNSET[header.field]
    }
    for rate in notes.rates:
        headers.update(_rate_headers(rate))
    return headers


def error_headers(error: ApiError) -> dict[str, str]:
    """Return the headers of a response to a request that failed with *error*."""
    headers = {**error.extra_headers, **note_headers(error.notes)}
    if error.retry_after is not None:
        headers[RETRY_AFTER] = str(error.retry_after)
    if error.retry is not None:
        headers[SHOULD_RETRY] = str(error.retry).lower()
    return headers


def _rate_headers(rate: RateState) -> dict[str, str]:
    return {
        f"x-ratelimit-limit-{rate.what}": str(rate.limit),
        f"x-ratelimit-remaining-{rate.what}": str(rate.remains),
        f"x-ratelimit-reset-{rate.what}": f"{rate.resets_in_seconds}s",
    }
