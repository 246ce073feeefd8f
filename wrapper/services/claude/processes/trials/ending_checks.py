"""Checks of where turns end: a turn asks the model no more often than it should."""

from __future__ import annotations

from typing import Any

from wrapper.services.claude.processes.profiles import RETRIES, Profile
from wrapper.services.claude.processes.trials import answer
from wrapper.services.claude.processes.trials.check import Check, Consequence
from wrapper.services.claude.processes.trials.failure import expect
from wrapper.services.claude.processes.trials.isolation_checks import has_tool
from wrapper.services.claude.processes.trials.trial import Outcome, Trial
from wrapper.services.claude.protocol.initialize import last_round
from wrapper.services.turn import Message, Permissions, Turn

BUDGET = "budget"
QUESTION = (Message("user", ("Is it ready?",)),)
TOO_LONG = answer.error(
    400, "invalid_request_error", "prompt is too long: 250000 tokens > 200000 maximum"
)
OVERLOADED = answer.error(529, "overloaded_error", "Overloaded")


def _run(trial: Trial, reply: answer.Answer) -> Outcome:
    """Run a turn on a process of its own, whose model gives *reply*."""
    with trial.another() as other:
        return other.run(Turn("haiku", QUESTION, profile=trial.profile.name), reply)


def _check_too_long(trial: Trial) -> None:
    outcome = trial.run(Turn("haiku", QUESTION), TOO_LONG, workspace=trial.plants.moved)
    outcome.only()
    reason = outcome.result.get("terminal_reason")
    expect(reason == "prompt_too_long", f"a turn that is too long ends with {reason!r}")


def _check_budget(trial: Trial) -> None:
    outcome = _run(trial, answer.text(stop_reason="max_tokens"))
    outcome.only()
    subtype = outcome.result.get("subtype")
    expect(subtype == "error_max_budget_usd", f"a turn over its budget ends with {subtype!r}")


def _check_refusal(trial: Trial) -> None:
    _run(trial, answer.text(stop_reason="refusal")).only()


def _check_retries(trial: Trial) -> None:
    _run(trial, OVERLOADED).only()


def _check_rounds(trial: Trial) -> None:
    """The turn ends after its tool was used, when the hook says so."""
    turn = Turn("haiku", QUESTION, permissions=Permissions(max_turns=1))
    read = answer.calls([("Read", {"file_path": str(trial.plants.notes)})])
    with trial.another() as other:
        outcome = other.run(turn, read, workspace=trial.plants.moved, reply=_end_round)
    hooks = [control for control in outcome.controls if _is_hook(control)]
    expect(hooks, "the hook after a round of tool use is not called")
    outcome.only()


def _is_hook(control: dict[str, Any]) -> bool:
    return (control.get("request") or {}).get("subtype") == "hook_callback"


def _end_round(control: dict[str, Any]) -> dict[str, Any] | None:
    if not _is_hook(control):
        return None
    response = {"continue": False, "stopReason": "The trial has seen enough."}
    ended = {"subtype": "success", "request_id": control["request_id"], "response": response}
    return {"type": "control_response", "response": ended}


def _limits_rounds(turn: Turn) -> bool:
    return last_round(turn) is not None or turn.principal.has_budget


def _never_retries(profile: Profile) -> bool:
    return profile.variables.get(RETRIES) == "0"


ENDING_CHECKS = (
    Check(
        "too-long",
        ("agent",),
        "A conversation that is too long for the model is an error, and is not summarised.",
        Consequence.REFUSED,
        _check_too_long,
        comes_first=True,
    ),
    Check(
        "max-turns",
        ("agent",),
        "A hook after each round of tool use can end the turn, so that limits hold.",
        Consequence.UNAVAILABLE,
        _check_rounds,
        applies=lambda profile: has_tool(profile, "Read"),
        needed_by=_limits_rounds,
    ),
    Check(
        BUDGET,
        ("plain",),
        "A budget below any price ends a turn after the model's first answer.",
        Consequence.SLOWER,
        _check_budget,
        applies=lambda profile: profile.budgeted,
    ),
    Check(
        "refusal",
        ("agent", "plain"),
        "An answer that the model refuses is not asked for again, or of another model.",
        Consequence.NAMED,
        _check_refusal,
        # Otherwise the budget ends the turn before it could be asked for again.
        applies=lambda profile: not profile.budgeted,
    ),
    Check(
        "retries",
        ("plain",),
        "With CLAUDE_CODE_MAX_RETRIES=0 a request that fails is not sent again.",
        Consequence.NAMED,
        _check_retries,
        applies=_never_retries,
    ),
)
