"""Checks of the requests that turns become: what they have of the caller's, and what besides."""

from __future__ import annotations

from typing import Any

from wrapper.services.claude.processes.trials.check import Check, Consequence
from wrapper.services.claude.processes.trials.failure import expect
from wrapper.services.claude.processes.trials.text_checks import (
    EARLIER,
    SAMPLING,
    SYSTEM,
    sent_requests,
)
from wrapper.services.claude.processes.trials.trial import Trial
from wrapper.services.turn import Sampling, Turn

# What a plain request has, as far as it is known.
FIELDS = frozenset(
    {
        *("model", "messages", "system", "tools", "metadata", "max_tokens", "thinking"),
        *("context_management", "temperature", "stop_sequences", "output_config", "stream"),
    }
)
# Claude Code's own parts of a plain system prompt: the billing header, and who it is.
OWN_PARTS = 2


def _check_sampling(trial: Trial) -> None:
    """The first request has the values of the first turn."""
    body = _first(trial)
    wanted = {
        "max_tokens": SAMPLING.max_tokens,
        "temperature": SAMPLING.temperature,
        "stop_sequences": list(SAMPLING.stop),
    }
    for name, value in wanted.items():
        expect(body.get(name) == value, f"{name} is {body.get(name)!r} instead of {value!r}")


def _check_plain_form(trial: Trial) -> None:
    body = _first(trial)
    more = sorted(set(body) - FIELDS)
    expect(not more, f"a request has the fields {', '.join(more)}")
    parts = body.get("system") or []
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    expect(texts[OWN_PARTS:] == [SYSTEM], "the system prompt has other parts than the caller's")


def _check_history(trial: Trial) -> None:
    messages = _first(trial).get("messages") or []
    roles = [message.get("role") for message in messages if message.get("role") != "system"]
    expected = [*(message.role for message in EARLIER), "user"]
    expect(roles == expected, f"the roles of the messages are {', '.join(map(str, roles))}")


def _check_model_change(trial: Trial) -> None:
    expect(
        "<command-name>/model" not in str(_first(trial)), "the model sees that /model was called"
    )


def _check_directory(trial: Trial) -> None:
    body = str(_first(trial))
    expect("working directory has changed" not in body, "the model sees that it was changed")
    expect(str(trial.plants.work) not in body, "the model sees where its process started")


def _first(trial: Trial) -> dict[str, Any]:
    requests = sent_requests(trial)
    expect(requests, "no request is sent")
    return requests[0].fields


def _has_sampling(turn: Turn) -> bool:
    return turn.body is None and turn.sampling != Sampling(effort=turn.sampling.effort)


REQUEST_CHECKS = (
    Check(
        "sampling",
        ("agent", "plain"),
        "max_tokens, temperature and stop reach the model's API.",
        Consequence.UNAVAILABLE,
        _check_sampling,
        comes_first=True,
        needed_by=_has_sampling,
    ),
    Check(
        "history",
        ("agent",),
        "Earlier messages reach the model in their own roles.",
        Consequence.UNAVAILABLE,
        _check_history,
        comes_first=True,
        needed_by=lambda turn: len(turn.messages) > 1,
    ),
    Check(
        "model",
        ("agent",),
        "Setting the model before the first turn leaves no trace in the conversation.",
        Consequence.NAMED,
        _check_model_change,
        comes_first=True,
    ),
    Check(
        "directory",
        ("agent",),
        "An agent that is moved to its caller's directory before its first turn started there.",
        Consequence.NAMED,
        _check_directory,
        comes_first=True,
    ),
    Check(
        "form",
        ("plain",),
        "A plain request has known fields, and no system prompt but the caller's.",
        Consequence.NAMED,
        _check_plain_form,
        comes_first=True,
    ),
)
