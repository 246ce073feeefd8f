"""Check a whole shell command line, and rebuild it in the gateway's own form."""

from __future__ import annotations

from wrapper.services.permissions.readonly.commands import rewrite
from wrapper.services.permissions.readonly.files import Files
from wrapper.services.permissions.readonly.syntax import Denied, Step, parse, quote

# Claude Code brings its own rg, as a shell function.
_FUNCTIONS = ("rg",)
# What runs a command. git fetches by no protocol then, whatever a configuration allows.
_RUNNERS = {"git": ("env", "GIT_ALLOW_PROTOCOL=")}


def read_only(command: str, root: str) -> str:
    """Return the command line that runs in place of *command* in *root*. Raises Denied.

    It runs in a subshell that first changes to that directory, wherever the shell is, and with
    every word quoted: aliases, functions and expansions have no effect.
    """
    steps, files = parse(command), Files(root)
    if steps[0].words[0].text == "cd":
        files, steps = _enter(steps, files)
    parts = [_render(step, files) for step in steps]
    return f"(\\builtin cd -- {quote(files.here)} || exit; {' '.join(parts)})"


def _enter(steps: list[Step], files: Files) -> tuple[Files, list[Step]]:
    """Return the files of the directory that the first step changes to, and the other steps."""
    step, *others = steps
    if len(step.words) != 2 or step.outputs or step.source or not others:
        raise Denied("a change of directory does not last here; write: cd DIRECTORY && COMMAND")
    if others[0].operator not in ("&&", ";"):
        raise Denied("after cd DIRECTORY only && is allowed here")
    others[0].operator = ""
    return files.enter(step.words[1]), others


def _render(step: Step, files: Files) -> str:
    name, *words = rewrite(step.words, files)
    run = f"\\{name}"
    if name not in _FUNCTIONS:
        run = " ".join(("\\command", *map(quote, (*_RUNNERS.get(name, ()), name))))
    parts = [step.operator, run, *map(quote, words), *step.outputs]
    if step.source:
        path, *more = files.expand(step.source)
        if more:
            raise Denied("a command can read its input from one file only")
        parts.append(f"< {quote(path)}")
    return " ".join(part for part in parts if part)
