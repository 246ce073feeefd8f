"""The picture at the top of the README: a terminal in which the demo answers.

python -m bench.demo_picture

It starts the demo, runs a few commands against it, and writes them with what they print as an SVG.
It needs curl and jq.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "demo.svg"
EXAMPLES = ("python_sync", "functions")
AGENT = "show_tool_use"
# The whole answer is long: the picture shows its message.
MESSAGE_ONLY = " | jq '.choices[0].message'"
COLUMNS = 100
FONT_SIZE = 13
LINE_HEIGHT = 18
COLUMN_WIDTH = 7.83
MARGIN = 18
COLOURS = {"command": "#7ee787", "output": "#e6edf3"}

# Each line of the terminal, as its colour and its text.
Line = tuple[str, str]


def main() -> None:
    with demo() as printed:
        url = next(line for line in printed if line.startswith("curl")).split()[2].split("/v1")[0]
        lines = [*shown("make demo", printed[0])]
        for name in EXAMPLES:
            lines += shown(f"python examples/{name}.py", run_example(name, url))
        command = next(line for line in printed if AGENT in line)
        command += MESSAGE_ONLY
        lines += shown(command, run(["sh", "-c", command]))
    PICTURE.write_text(svg(lines[:-1]))


@contextmanager
def demo() -> Iterator[list[str]]:
    """Serve the demo and yield what it prints until it is ready; it ends with the context."""
    command = [sys.executable, "-m", "claude_code_gateway", "demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        printed: list[str] = []
        for line in process.stdout or ():
            printed.append(line.rstrip())
            if "Ctrl-C" in line:
                break
        try:
            yield printed
        finally:
            process.terminate()


def run_example(name: str, url: str) -> str:
    return run([sys.executable, f"examples/{name}.py"], OPENAI_BASE_URL=f"{url}/v1")


def run(command: Sequence[str], **variables: str) -> str:
    """Return what *command* prints."""
    environment = {**os.environ, **variables}
    return subprocess.run(
        command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    ).stdout


def shown(command: str, output: str) -> Iterator[Line]:
    """Yield the lines of a terminal for one command: its prompt, its output and a blank line."""
    for line in wrapped(f"$ {command}"):
        yield "command", line
    for text in output.rstrip().splitlines():
        for line in wrapped(text):
            yield "output", line
    yield "output", ""


def wrapped(text: str) -> list[str]:
    """Return *text* in lines of at most COLUMNS columns, broken after a space if possible."""
    return textwrap.wrap(text, COLUMNS, drop_whitespace=False, break_on_hyphens=False) or [""]


def svg(lines: Sequence[Line]) -> str:
    """Return the lines as an SVG, in light letters on a dark ground."""
    width = round(COLUMNS * COLUMN_WIDTH + 2 * MARGIN)
    height = len(lines) * LINE_HEIGHT + 2 * MARGIN
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"\n'
        f"     font-family=\"ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" "
        f'font-size="{FONT_SIZE}">\n'
        "  <title>A terminal: `make demo`, and commands that the gateway answers</title>\n"
        f'  <rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>\n'
    )
    rows = (
        f'  <text x="{MARGIN}" y="{MARGIN + LINE_HEIGHT * number + FONT_SIZE}" '
        f'xml:space="preserve" fill="{COLOURS[colour]}">{escape(text, quote=False)}</text>\n'
        for number, (colour, text) in enumerate(lines)
        if text
    )
    return f"{head}{''.join(rows)}</svg>\n"


if __name__ == "__main__":
    main()
