"""Each check passes on a Claude Code that does what is relied on, and fails on any other one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from wrapper.services.claude.processes.profiles import Profile, build_profiles
from wrapper.services.claude.processes.trials import answer
from wrapper.services.claude.processes.trials.failure import Failed
from wrapper.services.claude.processes.trials.plants import Plants
from wrapper.services.claude.processes.trials.recorder import Request
from wrapper.services.claude.processes.trials.recycling_checks import RECYCLING
from wrapper.services.claude.processes.trials.table import CHECKS
from wrapper.services.claude.processes.trials.trial import Outcome, Trial
from wrapper.services.claude.processes.trials.warmup_checks import WARM_UP
from wrapper.services.turn import Turn
from wrapper.settings import Settings

Body = dict[str, Any]
# These compare real processes; the live tests have one that fails each.
COMPARING = {WARM_UP, RECYCLING}
HOOK: Body = {
    "type": "control_request",
    "request_id": "1",
    "request": {"subtype": "hook_callback"},
}
PROMPT: Body = {"type": "control_request", "request": {"subtype": "can_use_tool"}}
DENIED = "It was denied."


@dataclass
class Claude:
    """What a Claude Code does: `edit` changes a request, and it sends `more` after the last.

    It acts on its own after its first turn, if it `acts`.
    """

    edit: Callable[[Body, Plants], Any] = lambda body, plants: None
    headers: str = ""
    more: int = 0
    asks: bool = True
    hooks: bool = True
    result: str = ""
    shows: str = DENIED
    acts: Callable[[Plants], Any] = lambda plants: None
    lists: bool = True
    offers: str = "- gateway:greet: Greets."
    launches: int = 1


class FakeTrial:
    """Runs turns as *claude* does."""

    def __init__(self, profile: Profile, folder: Path, claude: Claude):
        self.profile = profile
        self.plants = Plants(folder)
        self.plants.plant(None, isolated=True)
        self.sent: list[Request] = []
        self._claude = claude

    @contextmanager
    def another(self):
        yield self

    def run(
        self,
        turn: Turn,
        *answers,
        workspace=None,
        reply=lambda control: None,
        local_commands=False,
    ):
        claude, plants = self._claude, self.plants
        body = self._body(turn)
        claude.edit(body, plants)
        requests = [body]
        controls: list[Body] = []
        if answers and b"tool_use" in answers[0].body:
            uses = answers[0].body.count(b'"type": "tool_use"')
            controls += [PROMPT] * (uses if claude.asks else 0)
            controls += [HOOK] if claude.hooks else []
            ends = claude.hooks and "continue" in json.dumps(reply(HOOK))
            notes = plants.notes.name if claude.lists else ""
            shown = claude.shows.format(hidden=plants.hidden, noted=plants.noted)
            launched = "Launching skill " * claude.launches
            requests += [] if ends else [{"messages": [f"{shown} {notes} {launched}"]}]
        requests += [body] * claude.more
        claude.acts(plants)
        sent = [
            Request("/v1/messages", {"x": claude.headers.format(nonce=plants.nonce)}, _json(body))
            for body in requests
        ]
        self.sent += sent
        return Outcome(sent, self._result(answers), controls)

    def _result(self, answers) -> Body:
        too_long = bool(answers) and answers[0].status == 400
        reason = "prompt_too_long" if too_long else "completed"
        result = {"subtype": "error_max_budget_usd", "terminal_reason": reason}
        return {name: self._claude.result or value for name, value in result.items()}

    def _body(self, turn: Turn) -> Body:
        names = ["Read", "Bash"] if turn.profile == "agent" else []
        sampling = turn.sampling
        own = ["billing", "who it is"] if turn.profile == "plain" else ["who it is"]
        offers = self._claude.offers if turn.messages[-1].parts == ("Use them.",) else ""
        return {
            "messages": [
                {"role": message.role, "content": [_text(part) for part in message.parts]}
                for message in turn.messages
            ]
            + ([{"role": "system", "content": [_text(offers)]}] if offers else []),
            "system": [_text(text) for text in (*own, turn.system)],
            "tools": [{"name": name} for name in names],
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "stop_sequences": list(sampling.stop),
        }


def _text(text: Any) -> Body:
    return {"type": "text", "text": text}


def _json(body: Body) -> bytes:
    return json.dumps(body).encode()


def results(folder: Path, profile: str, claude: Claude, *ids: str) -> dict[str, str]:
    """Return why each check of a profile, or of those with these *ids*, fails, or ""."""
    environment = {"PATH": "/bin", "ANTHROPIC_API_KEY": "sk-test"}
    commands = folder / "operator" / "commands"
    commands.mkdir(parents=True)
    (commands / "greet.md").write_text("---\ndescription: Greets.\n---\nGreet.")
    settings = Settings(
        claude_code_max_retries=0,
        claude_tools=("Read", "Bash", "Skill"),
        claude_skills=("greet",),
        claude_skills_dir=str(commands.parent),
    )
    built = build_profiles(settings, environment)[profile]
    trial = cast(Trial, FakeTrial(built, folder / "trial", claude))
    wanted = ids or [check.id for check in CHECKS if check.id not in COMPARING]
    found = {}
    for check in CHECKS:
        if check.is_for(built) and check.id in wanted:
            try:
                check.run(trial)
                found[check.id] = ""
            except Failed as failure:
                found[check.id] = str(failure)
    return found


@pytest.mark.parametrize("profile", ["agent", "plain"])
def test_all_pass(tmp_path, profile):
    """All checks pass on a Claude Code that does what is relied on."""
    found = results(tmp_path, profile, Claude())
    assert not any(found.values()), found
    assert len(found) >= 7


def last_text(body: Body) -> Body:
    return cast(Body, body["messages"][-1]["content"][-1])


def first_text(body: Body) -> Body:
    return cast(Body, body["messages"][0]["content"][0])


def add_tool(body: Body, plants: Plants) -> None:
    body["tools"].append({"name": "Sell"})


def add_history(body: Body, plants: Plants) -> None:
    body["messages"].insert(0, {"role": "user", "content": [_text("Before.")]})


def edits(**values: Any) -> Callable[[Body, Plants], None]:
    return lambda body, plants: body.update(values)


def note(text: str) -> Callable[[Body, Plants], None]:
    """Return an edit that adds a text to the system prompt, with the plants in braces."""
    return lambda body, plants: body["system"].append(
        _text(text.format(nonce=plants.nonce, hidden=plants.hidden, work=plants.work))
    )


def touch(name: str) -> Callable[[Plants], object]:
    return lambda plants: (plants.folder / name).write_text("")


FAILURES = [
    ("agent", "text", Claude(lambda body, _: last_text(body).update(text="Bye.")), "a text that"),
    ("agent", "text", Claude(lambda body, _: first_text(body).update(text="")), "of an earlier"),
    ("agent", "text", Claude(note("{hidden}")), "a file that a text names"),
    ("agent", "text", Claude(acts=touch("moved/mark")), "a text that begins with ! runs"),
    ("agent", "text", Claude(more=1), "a turn sends 2 requests"),
    ("plain", "conversation", Claude(add_history), "the conversation of a request"),
    ("plain", "conversation", Claude(note("{hidden}")), "a file that a text names"),
    ("agent", "sampling", Claude(edits(max_tokens=9)), "max_tokens is 9 instead of 77"),
    ("plain", "sampling", Claude(edits(temperature=1)), "temperature is 1 instead of 0.25"),
    ("plain", "sampling", Claude(edits(stop_sequences=None)), "stop_sequences is None"),
    ("agent", "history", Claude(add_history), "the roles of the messages are user, user,"),
    ("agent", "local-commands", Claude(add_history), "the text of an earlier message is changed"),
    ("agent", "model", Claude(note("<command-name>/model")), "the model sees that /model"),
    ("agent", "directory", Claude(note("working directory has changed")), "it was changed"),
    ("agent", "directory", Claude(note("It is {work}.")), "where its process started"),
    ("plain", "form", Claude(edits(safeguards=1)), "a request has the fields safeguards"),
    ("plain", "form", Claude(note("Be nice.")), "the system prompt has other parts"),
    ("agent", "isolation", Claude(note("{nonce}")), "a file of the host's settings"),
    ("plain", "isolation", Claude(note("{nonce}")), "a file of the host's settings"),
    ("agent", "isolation", Claude(headers="{nonce}"), "variables of the host's"),
    ("agent", "isolation", Claude(acts=touch("mark")), "a hook of the host's settings runs"),
    ("agent", "tools", Claude(add_tool), "beside those of CLAUDE_TOOLS: Sell"),
    ("plain", "tools", Claude(add_tool), "beside those of CLAUDE_TOOLS: Sell"),
    ("agent", "commands", Claude(asks=False), "13 of 13 commands run without asking"),
    ("agent", "commands", Claude(shows="{hidden}"), "shows a file outside"),
    ("agent", "commands", Claude(acts=touch("listed")), "writes a file although"),
    ("agent", "commands", Claude(lists=False), "only reads does not run"),
    ("agent", "rules", Claude(shows="{noted}"), "a tool that a rule denies is used"),
    ("agent", "skills", Claude(offers="- init: Begins."), "not offered exactly these skills"),
    ("agent", "skills", Claude(launches=2), "a skill does not run, or another one does"),
    ("agent", "skills", Claude(shows="{hidden}"), "a file that an argument names"),
    ("agent", "skills", Claude(acts=touch("moved/mark")), "a command in an argument runs"),
    ("agent", "too-long", Claude(more=1), "a turn sends 2 requests"),
    ("agent", "too-long", Claude(result="completed"), "too long ends with 'completed'"),
    ("agent", "max-turns", Claude(hooks=False), "the hook after a round"),
    ("agent", "max-turns", Claude(more=1), "a turn sends 2 requests"),
    ("plain", "budget", Claude(more=1), "a turn sends 2 requests"),
    ("plain", "budget", Claude(result="success"), "over its budget ends with 'success'"),
    ("agent", "refusal", Claude(more=1), "a turn sends 2 requests"),
    ("plain", "retries", Claude(more=2), "a turn sends 3 requests"),
]


@pytest.mark.parametrize(
    ("profile", "check", "claude", "failure"),
    FAILURES,
    ids=[f"{profile} {check}: {failure}" for profile, check, _, failure in FAILURES],
)
def test_fails(tmp_path, profile, check, claude, failure):
    """A check fails by itself, and says what Claude Code did instead."""
    assert failure in results(tmp_path, profile, claude, check)[check]


def test_each_check_has_a_failure():
    """Every check that does not compare real processes has a Claude Code here that fails it."""
    assert {check for _, check, _, _ in FAILURES} | COMPARING == {check.id for check in CHECKS}


def test_documented():
    """docs/operations.md lists each check, what it is for, and what follows if it fails."""
    text = (Path(__file__).parents[6] / "docs" / "operations.md").read_text()
    for check in CHECKS:
        profiles = ", ".join(check.profiles)
        row = (f"`{check.id}`", profiles, check.relies_on, check.consequence.value)
        assert f"| {' | '.join(row)} |\n" in text


def test_answers():
    """The answers that the checks give are events of the API."""
    lines = answer.calls([("Read", {"file_path": "/x"})]).body.decode().split("\n\n")
    events = [json.loads(line.partition("data: ")[2]) for line in lines if line]
    assert [event["type"] for event in events] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert events[1]["content_block"]["name"] == "Read"
    assert json.loads(events[2]["delta"]["partial_json"]) == {"file_path": "/x"}
    assert events[4]["delta"]["stop_reason"] == "tool_use"


def test_answers_have_names():
    """No call has the name of an earlier one, for which Claude Code would take it."""
    first, second = (answer.calls([("Read", {})]).body for _ in range(2))
    names = [set(re.findall(rb'"id": "(\w+)"', body)) for body in (first, second)]
    assert len(names[0] | names[1]) == 4
