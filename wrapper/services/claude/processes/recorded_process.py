"""A process whose requests to the model end on loopback, to see what a model would get.

Claude Code describes its tools only to the model. So a process of its own sends its requests to the
gateway itself, with no login and at no cost, and the tools are read from these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fnmatch import fnmatchcase

from wrapper.errors import BadGateway
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.profiles import SECRET, Profile
from wrapper.services.claude.processes.supervisor import Supervisor
from wrapper.services.claude.processes.trials.recorder import Recorder, Request, recording
from wrapper.services.claude.protocol import frames
from wrapper.services.claude.protocol.frames import Frame
from wrapper.services.tools.tool import Tool
from wrapper.services.turn import Message, Turn

# What the process does not get: logins, what names another server, and what goes round this one.
WITHHELD = (*SECRET, "*_PROXY", "*_proxy", "CLAUDE_CODE_USE_*", "CLAUDE_CODE_SKIP_*_AUTH")
# Of these it gets what decides on models and regions, which the tools depend on.
KEPT = (
    *("ANTHROPIC_*MODEL*", "AWS_REGION", "AWS_DEFAULT_REGION"),
    *("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX"),
)
BASE_URLS = ("ANTHROPIC_BASE_URL", "ANTHROPIC_BEDROCK_BASE_URL", "ANTHROPIC_VERTEX_BASE_URL")
NO_LOGIN = {
    "ANTHROPIC_API_KEY": "none-needed-on-loopback",
    "ANTHROPIC_VERTEX_PROJECT_ID": "none",
    "CLAUDE_CODE_SKIP_BEDROCK_AUTH": "1",
    "CLAUDE_CODE_SKIP_VERTEX_AUTH": "1",
    "CLAUDE_CODE_MAX_RETRIES": "0",
}


class RecordedProcess:
    """A booted `process` whose requests come to a *recorder*."""

    def __init__(self, process: Process, recorder: Recorder, model: str):
        self.process = process
        self._recorder = recorder
        self._turn = Turn(
            process.full_model_name(model), (Message("user", ("Which tools are there?",)),)
        )
        self._configured = False

    def tools(self, seconds: float) -> list[Tool]:
        """Run a turn that no model answers, and return the tools in its first request with any.

        Raises BootFailed if Claude Code does not answer in time, BadGateway if there are no tools.
        """
        self._recorder.take()
        if not self._configured:
            for frame in self._configuration():
                self.process.ask(frame["request"], seconds)
            self._configured = True
        self.process.send(frames.prompt(self._turn), seconds)
        return list(_read_tools(self._recorder.take()))

    def _configuration(self) -> list[Frame]:
        settings, additions = frames.settings(self._turn), self.process.profile.additions
        return frames.configuration(self._turn, settings, additions=additions)


def with_recorded_process(
    supervisor: Supervisor, profile: Profile, model: str, use: Callable[[RecordedProcess], None]
) -> None:
    """Boot a process like those of *profile*, call *use* with it, and stop it.

    Raises BootFailed.
    """
    with recording() as recorder:
        supervisor.with_process(
            _diverted(profile, recorder.url),
            lambda process: use(RecordedProcess(process, recorder, model)),
        )


def _diverted(profile: Profile, url: str) -> Profile:
    """Return *profile* with its requests going to *url*, and without any login."""
    kept = {
        name: value
        for name, value in profile.variables.items()
        if _matches(name, KEPT) or not _matches(name, WITHHELD)
    }
    addresses = dict.fromkeys(BASE_URLS, url)
    return replace(profile, variables={**kept, **NO_LOGIN, **addresses})


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _read_tools(requests: Iterable[Request]) -> Iterator[Tool]:
    """Yield the tools in the first request that has any. Raises BadGateway if none has."""
    listed = next(filter(None, (request.fields.get("tools") for request in requests)), None)
    if not isinstance(listed, list):
        raise BadGateway("Claude Code sent the model no tools.")
    for row in listed:
        if not isinstance(row, dict) or not isinstance(row.get("name"), str):
            raise BadGateway("Claude Code's tools cannot be understood.")
        schema = row.get("input_schema")
        yield Tool(
            row["name"],
            str(row.get("description") or ""),
            schema if isinstance(schema, dict) else {},
        )
