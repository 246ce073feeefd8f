"""The check that a process keeps nothing of a conversation once it is cleared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from wrapper.services.claude.processes.state import ProcessState, clear
from wrapper.services.claude.processes.trials.check import Check, Consequence
from wrapper.services.claude.processes.trials.comparison import compare
from wrapper.services.claude.processes.trials.failure import Failed, expect
from wrapper.services.claude.processes.trials.recorder import Request
from wrapper.services.claude.processes.trials.trial import Trial
from wrapper.services.claude.processes.trials.warmup_checks import (
    MODELS,
    QUESTION,
    warm_up_silently,
)
from wrapper.services.claude.protocol.usage_counter import UsageCounter
from wrapper.services.spent import Usage
from wrapper.services.turn import Message, Sampling, Turn

RECYCLING = "recycling"
SESSION = "x-claude-code-session-id"
# What a conversation may leave behind: its text, or settings.
PAST = (
    Sampling(max_tokens=77, temperature=0.5, stop=("swordfish",)),
    Sampling(effort="high"),
)


@dataclass(frozen=True)
class Sent:
    """The request of a turn, and its usage and dollars by model."""

    request: Request
    spent: Mapping[str, tuple[Usage, float]]


def check_recycling(trial: Trial) -> None:
    """Compare the first turn of a process with the same turn after other conversations.

    One process was warmed up. An agent's is then in a directory of its own, with the other model.
    """
    for warm, model in enumerate(MODELS):
        turn = replace(QUESTION, model=model, profile=trial.profile.name)
        moved = trial.plants.moved if warm and turn.profile == "agent" else None
        with trial.another(early=bool(warm) and trial.profile.alike) as used:
            if warm:
                warm_up_silently(used)
            first, *_, last = _run(used, _conversations(turn), moved)
        difference = compare(first.request, last.request)
        expect(not difference, f"a cleared process sends another request ({model}): {difference}")
        expect(first.spent == last.spent, "a cleared process counts the usage of earlier turns")
        renamed = _session(first.request) != _session(last.request)
        expect(renamed, "a cleared process keeps its session's name")


def _conversations(turn: Turn) -> Iterator[Turn]:
    """Yield *turn*, then others that may run on its process, and *turn* again."""
    yield turn
    for model, sampling in zip(MODELS, PAST, strict=True):
        messages = (Message("user", ("The password is swordfish. " * 1000,)),)
        # An agent's process runs turns of one model only.
        model = model if turn.profile == "plain" else turn.model
        yield replace(turn, messages=messages, sampling=sampling, model=model)
    yield turn


def _run(trial: Trial, turns: Iterable[Turn], moved: Path | None) -> Iterator[Sent]:
    """Run *turns*, clear the process after each, and yield what they sent."""
    counted = None
    for turn in turns:
        outcome = trial.run(turn, workspace=moved)
        result = dict(outcome.result)
        used = UsageCounter(counted).used(result).spent.items()
        spent = {model: (of.usage, round(of.cost_usd or 0, 9)) for model, of in used}
        yield Sent(outcome.only(), spent)
        trial.ask({"subtype": "get_binary_version"})  # it answers once it is done with the turn
        cleared = clear(trial.process, ProcessState(result=result), trial.seconds)
        if cleared is None:
            raise Failed("a process cannot be cleared of its conversation")
        counted = cleared.result
        expect(not trial.unasked(), "clearing a process sends a request")


def _session(request: Request) -> str | None:
    """Return the name of Claude Code's session, which the request tells the provider."""
    return next((value for name, value in request.headers.items() if name.lower() == SESSION), None)


RECYCLING_CHECKS = (
    Check(
        RECYCLING,
        ("agent", "plain"),
        "A process that was cleared sends what a fresh one sends, and counts usage as it does.",
        Consequence.SLOWER,
        check_recycling,
    ),
)
