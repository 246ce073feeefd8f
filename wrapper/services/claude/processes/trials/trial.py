"""A trial: processes of Claude Code in front of a recorder, which run turns for checks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from wrapper.services.claude.login.login import uses_cli_login
from wrapper.services.claude.processes.process import Process, Reply
from wrapper.services.claude.processes.profiles import SECRET, Profile
from wrapper.services.claude.processes.trials.answer import Answer
from wrapper.services.claude.processes.trials.failure import Failed
from wrapper.services.claude.processes.trials.plants import Plants
from wrapper.services.claude.processes.trials.recorder import Recorder, Request, recording
from wrapper.services.claude.processes.warmup import HEADERS
from wrapper.services.claude.protocol import frames
from wrapper.services.claude.protocol.history import history
from wrapper.services.claude.protocol.permission_prompt import PermissionServer
from wrapper.services.turn import Turn

# A trial talks only to its own server: no provider, no login and no proxy is set.
LEFT_OUT = (*SECRET, "CLOUD_ML_REGION", "VERTEX_*", "CLAUDE_CODE_USE_*", "*_PROXY", "*_proxy")
OWN_HEADER = "x-trial: own"
DISALLOWED = "--disallowedTools"
LOGIN = "sk-ant-oat01-trial"

# Starts a process of a profile for a block, with this config directory or one of its own.
Lend = Callable[[Profile, Path | None], AbstractContextManager[Process]]


@dataclass(frozen=True)
class Outcome:
    """What a turn sent, its raw `result`, and the control requests that came in it."""

    requests: list[Request]
    result: Mapping[str, Any]
    controls: list[dict[str, Any]] = field(default_factory=list)

    def only(self) -> Request:
        """Return the only request. Raises Failed if there is none, or another one."""
        if len(self.requests) != 1:
            raise Failed(f"a turn sends {len(self.requests)} requests instead of one")
        return self.requests[0]


class Trial:
    """Runs turns on a process of *profile* that *start* boots for a block on first use.

    The process's API is *recorder*, and each of its answers may take `seconds`. `plants` are what
    it must not read, and `sent` are the requests of all its turns.
    """

    def __init__(
        self,
        profile: Profile,
        start: Callable[..., AbstractContextManager[Process]],
        recorder: Recorder,
        plants: Plants,
        seconds: float,
    ):
        self.profile = profile
        self.seconds = seconds
        self.plants = plants
        self.sent: list[Request] = []
        self._start = start
        self._recorder = recorder
        self._stack = ExitStack()
        self._configured: list[frames.Frame] = []

    @cached_property
    def process(self) -> Process:
        """Return the process, booted. It is stopped by `close`."""
        return self._stack.enter_context(self._start(config=self.plants.config))

    @contextmanager
    def another(self, *, early: bool = False) -> Iterator[Trial]:
        """Boot another process for a block, with nothing planted in its configuration."""
        with self._start(early=early) as process:
            trial = Trial(self.profile, self._start, self._recorder, self.plants, self.seconds)
            trial.process = process
            yield trial

    def run(
        self,
        turn: Turn,
        *answers: Answer,
        workspace: Path | None = None,
        reply: Reply = lambda request: None,
        local_commands: bool = False,
    ) -> Outcome:
        """Run *turn* as the gateway does, in *workspace* if given. The model gives *answers*.

        *reply* answers Claude Code's control requests other than permission prompts. For
        *local_commands* see `history_of`.
        """
        controls: list[dict[str, Any]] = []
        permissions = PermissionServer(str(self.plants.moved), reads_only=self.profile.reads_only)

        def answer(request: dict[str, Any]) -> Mapping[str, Any] | None:
            controls.append(request)
            return permissions.answer(request) or reply(request)

        self._recorder.take()
        self._configure(turn, workspace)
        self._recorder.answers.extend(answers)
        for frame, answered in history(turn, local_commands=local_commands):
            self.process.send(frame, self.seconds) if answered else self.process.tell(frame)
        result = self.process.send(frames.prompt(turn), self.seconds, answer)
        self._recorder.answers.clear()
        requests = [self._without_home(request) for request in self.unasked()]
        self.sent += requests
        return Outcome(requests, result, controls)

    def unasked(self) -> list[Request]:
        """Return what was sent since the last turn."""
        return self._recorder.take()

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a control request and return its answer."""
        return self.process.ask(request, self.seconds)

    def close(self) -> None:
        """Stop the process."""
        self._stack.close()

    def _configure(self, turn: Turn, workspace: Path | None) -> None:
        """Configure the process. Only its first turn initializes and moves it."""
        process = self.process
        turn = replace(turn, model=process.full_model_name(turn.model))
        settings, directory = frames.settings(turn), str(workspace) if workspace else None
        requests = (
            frames.reconfiguration(turn, settings, process.profile.mode, self._configured)
            if self._configured
            else frames.configuration(
                turn,
                settings,
                directory,
                initialized=process.initialized,
                additions=process.profile.additions,
            )
        )
        for frame in requests:
            self.ask(frame["request"])
        self._configured = settings

    def _without_home(self, request: Request) -> Request:
        home = json.dumps(str(self.process.home))[1:-1].encode()
        return replace(request, body=request.body.replace(home, b"HOME"))


@contextmanager
def open_trial(profile: Profile, lend: Lend, folder: Path, seconds: float) -> Iterator[Trial]:
    """Make a trial of *profile* for a block, with its files in *folder*.

    *lend* starts its processes.
    """
    with recording() as recorder:
        plants = Plants(folder)
        plants.plant(profile.user, isolated=is_isolated(profile))
        tried = replace(isolated(profile, recorder.url, plants.home), cwd=str(plants.work))

        @contextmanager
        def start(config: Path | None = None, *, early: bool = False) -> Iterator[Process]:
            with lend(tried, config) as process:
                process.boot(seconds, early=early)
                yield process

        trial = Trial(tried, start, recorder, plants, seconds)
        try:
            yield trial
        finally:
            trial.close()


def isolated(profile: Profile, url: str, home: Path) -> Profile:
    """Return *profile* with a made-up login for the API at *url*, and nothing that is secret."""
    kept = {
        name: value
        for name, value in profile.variables.items()
        if not any(fnmatchcase(name, pattern) for pattern in LEFT_OUT)
    }
    own_login = uses_cli_login(profile.variables)
    login = "CLAUDE_CODE_OAUTH_TOKEN" if own_login else "ANTHROPIC_API_KEY"
    own = {login: LOGIN, "ANTHROPIC_BASE_URL": url, HEADERS: OWN_HEADER, "HOME": str(home)}
    return replace(profile, arguments=_with_all_tools(profile.arguments), variables={**kept, **own})


def is_isolated(profile: Profile) -> bool:
    """Say whether the settings keep all of the host's files from Claude Code."""
    sources = profile.arguments[profile.arguments.index("--setting-sources") + 1]
    off = ("CLAUDE_CODE_DISABLE_CLAUDE_MDS", "CLAUDE_CODE_DISABLE_AUTO_MEMORY")
    return not sources and all(profile.variables.get(name) == "1" for name in off)


def _with_all_tools(arguments: tuple[str, ...]) -> tuple[str, ...]:
    """Return the arguments without rules that deny tools, whose use is tried."""
    if DISALLOWED not in arguments:
        return arguments
    at = arguments.index(DISALLOWED)
    return arguments[:at] + arguments[at + 2 :]
