"""Find out whether a warm process sends to the letter what a fresh one sends."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

from wrapper.services.claude.login.login import uses_cli_login
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.profiles import SECRET, Profile
from wrapper.services.claude.processes.trials.recorder import Recorder, Request, recording
from wrapper.services.claude.processes.warmup import HEADERS, warm_up
from wrapper.services.claude.protocol import frames
from wrapper.services.turn import Message, Turn

# The trial talks only to its own server: no provider, no login and no proxy is set.
LEFT_OUT = (*SECRET, "CLOUD_ML_REGION", "VERTEX_*", "CLAUDE_CODE_USE_*", "*_PROXY", "*_proxy")
OWN_HEADER = "x-trial: own"
LOGIN = "sk-ant-oat01-trial"
# Its default model, and another one: some versions keep parts of a request for the default model.
MODELS = ("default", "haiku")
QUESTION = Turn("default", (Message("user", ("Is it ready?",)),), system="Answer.")

Lend = Callable[[Profile], AbstractContextManager[Process]]


class Failed(Exception):
    """Raised if Claude Code does not do what a warm-up relies on. Its text says what it did."""


def try_warm_up(profile: Profile, lend: Lend, folder: Path, seconds: float) -> None:
    """Compare the requests of fresh and of warm processes. Raises Failed, or BootFailed.

    *lend* starts a process for a block, *folder* becomes its HOME, and each of its answers may take
    *seconds*.
    """
    with recording() as recorder:
        tried = isolated(profile, recorder.url, folder)
        for model in MODELS:
            turn = replace(QUESTION, model=model, profile=profile.name)
            ask = partial(_request, turn=turn, recorder=recorder, folder=folder, seconds=seconds)
            with lend(tried) as process:
                process.boot(seconds)
                fresh = ask(process)
            with lend(tried) as process:
                process.boot(seconds, early=profile.alike)
                _warm_up(process, recorder, seconds)
                warm = ask(process)
            if difference := compare(fresh, warm):
                raise Failed(f"a warm process sends another request ({model}): {difference}")


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
    return replace(profile, variables={**kept, **own})


def compare(fresh: Request, warm: Request) -> str:
    """Return the first difference between two requests, or an empty string.

    The names of sessions and devices differ between any two processes.
    """
    if fresh.path != warm.path:
        return f"its path is {warm.path}"
    headers, others = _headers(fresh), _headers(warm)
    for name in sorted({*headers, *others}):
        if headers.get(name) != others.get(name):
            return f"its header {name} differs"
    fields, other_fields = _fields(fresh), _fields(warm)
    for name in sorted({*fields, *other_fields}):
        if fields.get(name) != other_fields.get(name):
            return f"its field {name} differs"
    return ""


def _warm_up(process: Process, recorder: Recorder, seconds: float) -> None:
    """Warm it up. A request that this sends counts, even if the warm-up notices by itself."""
    try:
        warm_up(process, seconds)
    finally:
        if recorder.requests:
            raise Failed("the warm-up sends a request")


def _request(
    process: Process, turn: Turn, recorder: Recorder, folder: Path, seconds: float
) -> Request:
    """Run *turn* on a process and return the one request that it sends, without its directory."""
    for request in _requests(process, turn, folder):
        process.ask(request, seconds)
    process.send(frames.prompt(turn), seconds)
    sent, recorder.requests = recorder.requests, []
    if len(sent) != 1:
        raise Failed(f"a turn sends {len(sent)} requests")
    home = json.dumps(str(process.home))[1:-1].encode()
    return replace(sent[0], body=sent[0].body.replace(home, b"HOME"))


def _requests(process: Process, turn: Turn, folder: Path) -> Iterator[frames.Frame]:
    """Yield the control requests that configure the process for *turn*.

    An agent's turn with the other model runs in a directory of its own, as a caller's does.
    """
    moves = turn.profile == "agent" and turn.model != MODELS[0]
    turn = replace(turn, model=process.full_model_name(turn.model))
    settings, workspace = frames.settings(turn), str(folder) if moves else None
    for frame in frames.configuration(turn, settings, workspace, initialized=process.initialized):
        yield frame["request"]


_NAMES = re.compile(rb"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{64}")
_OF_THE_PROCESS = {"x-claude-code-session-id", "content-length", "host"}


def _headers(request: Request) -> dict[str, str]:
    lower = {name.lower(): value for name, value in request.headers.items()}
    return {name: value for name, value in lower.items() if name not in _OF_THE_PROCESS}


def _fields(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(_NAMES.sub(b"NAME", request.body))
    except ValueError:
        return {"body": request.body}
    return body if isinstance(body, dict) else {"body": body}
