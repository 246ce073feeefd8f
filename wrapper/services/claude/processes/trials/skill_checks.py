"""The check of what comes of the operator's skills."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from wrapper.services.claude.processes.trials import answer
from wrapper.services.claude.processes.trials.check import Check, Consequence
from wrapper.services.claude.processes.trials.failure import expect
from wrapper.services.claude.processes.trials.text_checks import texts_of
from wrapper.services.claude.processes.trials.trial import Trial
from wrapper.services.claude.skills import SKILL, full_name
from wrapper.services.turn import Message, Turn

_OFFER = re.compile(r"^- ([\w.:-]+): ", re.MULTILINE)
# Skills of the host, and of Claude Code itself, which no settings enable.
OTHERS = ("planted", "init", "plugin-authoring")


def _check_skills(trial: Trial) -> None:
    """Each skill is offered and no other one is, and none does more than to show its text."""
    names = [full_name(name) for name in trial.profile.additions.skills]
    mark = trial.plants.moved / "mark"
    hostile = f"word @{trial.plants.secret} !`touch {mark}`"
    uses = [{"skill": name, "args": hostile} for name in names] + [
        {"skill": name} for name in OTHERS
    ]
    turn = Turn("haiku", (Message("user", ("Use them.",)),))
    called = answer.calls([(SKILL, use) for use in uses])
    outcome = trial.run(turn, called, workspace=trial.plants.moved, reply=_go_on)
    first, last = outcome.requests[0], outcome.requests[-1]
    texts = texts_of(first.fields.get("messages") or [])
    offers = [offered for text in texts if (offered := _OFFER.findall(text))]
    expect(
        [sorted(names)] == [sorted(offered) for offered in offers],
        "the model is not offered exactly these skills",
    )
    body = last.body.decode(errors="replace")
    expect(body.count("Launching skill") == len(names), "a skill does not run, or another one does")
    expect(trial.plants.hidden not in body, "a file that an argument names is sent to the model")
    expect(not trial.plants.leftovers(), "a command in an argument runs")


def _go_on(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Answer the gateway's own hook, so that what Claude Code itself refuses is seen."""
    response = {"subtype": "success", "request_id": request["request_id"], "response": {}}
    return {"type": "control_response", "response": response}


SKILL_CHECKS = (
    Check(
        "skills",
        ("agent",),
        "The model is offered the skills of CLAUDE_SKILLS only, and a skill runs no command and "
        "reads no file.",
        Consequence.REFUSED,
        _check_skills,
        comes_first=True,
        applies=lambda profile: bool(profile.additions.skills),
        remedy="unset CLAUDE_SKILLS",
    ),
)
