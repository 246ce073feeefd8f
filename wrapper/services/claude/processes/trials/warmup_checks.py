"""The check that a warm process sends to the letter what a fresh one sends."""

from __future__ import annotations

from dataclasses import replace

from wrapper.services.claude.processes.trials.check import Check, Consequence
from wrapper.services.claude.processes.trials.comparison import compare
from wrapper.services.claude.processes.trials.failure import Failed, expect
from wrapper.services.claude.processes.trials.recorder import Request
from wrapper.services.claude.processes.trials.trial import Trial
from wrapper.services.claude.processes.warmup import warm_up
from wrapper.services.turn import Message, Turn

WARM_UP = "warm-up"
# Its default model, and another one: some versions keep parts of a request for the default model.
MODELS = ("default", "haiku")
QUESTION = Turn("default", (Message("user", ("Is it ready?",)),), system="Answer.")


def check_warm_up(trial: Trial) -> None:
    """Compare the requests of fresh and of warm processes."""
    for model in MODELS:
        turn = replace(QUESTION, model=model, profile=trial.profile.name)
        with trial.another() as fresh:
            expected = ask(fresh, turn)
        with trial.another(early=trial.profile.alike) as warm:
            warm_up_silently(warm)
            sent = ask(warm, turn)
        if difference := compare(expected, sent):
            raise Failed(f"a warm process sends another request ({model}): {difference}")


def ask(trial: Trial, turn: Turn) -> Request:
    """Run *turn* and return the one request that it sends, without its process's directory.

    An agent's turn with the other model runs in a directory of its own, as a caller's does.
    """
    moves = turn.profile == "agent" and turn.model != MODELS[0]
    return trial.run(turn, workspace=trial.plants.moved if moves else None).only()


def warm_up_silently(trial: Trial) -> None:
    """Warm it up. A request that this sends counts, even if the warm-up notices by itself."""
    try:
        warm_up(trial.process, trial.seconds)
    finally:
        expect(not trial.unasked(), "the warm-up sends a request")


WARM_UP_CHECKS = (
    Check(
        WARM_UP,
        ("agent", "plain"),
        "A process that was warmed up sends to the letter what a fresh one sends.",
        Consequence.SLOWER,
        check_warm_up,
    ),
)
