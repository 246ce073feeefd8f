"""The line: a whole shell command, allowed in a form of the gateway's own, or denied."""

from __future__ import annotations

from wrapper.services.permissions.readonly.commands import rewrite
from wrapper.services.permissions.readonly.files import Files
from wrapper.services.permissions.readonly.syntax import Denied, Step, parse, quote

# Claude Code brings its own rg, as a function of the shell.
_FUNCTIONS = ("rg",)


def read_only(command: str, root: str) -> str:
    """Return what runs in place of *command* in the directory *root*. Raises Denied.

    It runs there wherever the shell was left, in a shell of its own, and with every word quoted:
    aliases, functions and expansions do not come into it.
    """
    steps, files = parse(command), Files(root)
    if steps[0].words[0].text == "cd":
        files, steps = _enter(steps, files)
    parts = [_render(step, files) for step in steps]
    return f"(\\builtin cd -- {quote(files.here)} || exit; {' '.join(parts)})"


def _enter(steps: list[Step], files: Files) -> tuple[Files, list[Step]]:
    """Return the files of the directory that the first step goes to, and the other steps."""
    step, *others = steps
    if len(step.words) != 2 or step.outputs or step.source or not others:
        raise Denied("a change of directory does not last here; write: cd DIRECTORY && COMMAND")
    if others[0].operator not in ("&&", ";"):
        raise Denied("after cd DIRECTORY only && is possible here")
    others[0].operator = ""
    return files.enter(step.words[1]), others


def _render(step: Step, files: Files) -> str:
    name, *words = rewrite(step.words, files)
    run = f"\\{name}" if name in _FUNCTIONS else f"\\command {quote(name)}"
    parts = [step.operator, run, *map(quote, words), *step.outputs]
    if step.source:
        path, *more = files.expand(step.source)
        if more:
            raise Denied("a command reads its input from one file")
        parts.append(f"< {quote(path)}")
    return " ".join(part for part in parts if part)
