"""The report of the benchmark, in Markdown: results.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime

from bench.figures import Round, Spread, ratio, seconds
from bench.results import AT_ONCE, Results
from bench.targets import BARE, MIB, PRINT
from tests.support import cli

HEAD = (
    f"| | first token, ms | total, ms | first ÷ `{PRINT}` | total ÷ `{PRINT}` "
    f"| first ÷ {BARE} | total ÷ {BARE} |\n"
    "| --- | --- | --- | --- | --- | --- | --- |\n"
)


def report(results: Results, verdict: Sequence[str]) -> str:
    """Return the text of results.md."""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    return f"""# Results of `make bench`

{now} UTC, {os.cpu_count()} CPUs, Python {platform.python_version()}, Claude Code {cli.version()};
`make bench`.

Medians, with the quartiles in brackets. Ratios are taken round by round. The scripted upstream
answers at once, in 20 deltas, so the times are those of each contender itself. Every answer was
checked.

- `gateway`: profile plain, streamed, on processes that have run turns of other conversations;
  `gateway, agent` is the same with the profile agent.
- `claude -p, plain`: with the flags and variables of that profile; the total ends with the process.
- `claude -p, as it comes`: with its own system prompt and tools.
- `bare process`: warm, and configured with the gateway's own frames, which its time includes; it
  has run no warm-up turn.
- `upstream`: asked directly.

{_single_turns(results)}
{_later_turns(results)}
{_first_turns(results)}
{_fronts(results)}
{_mcp(results)}
{_load_and_cost(results)}
## Targets

{_bullets(verdict)}
"""


def _single_turns(results: Results) -> str:
    single, burst, long = results.single, results.burst, results.long
    return f"""## One at a time ({len(single)} rounds)

{table(single)}
## {AT_ONCE} at once ({len(burst)} rounds, each the median of {AT_ONCE})

{table(burst)}
## At the end of a long conversation ({len(long)} rounds)

{times(long)}"""


def _later_turns(results: Results) -> str:
    return f"""## Later turns of a session ({len(results.sessions)} rounds)

Each turn of a session found the process of the previous one parked. `bare process`, with the number
of a turn, is warm, and gets the frames that the gateway sends in that turn; "the same again" is the
first question, repeated, and the reference of `gateway` above. "Sent again" are conversations
without a session, sent whole each time; those that continue found their process, too. Their bodies
are those of a fresh process, so as much is read from the prompt cache.

{times(results.sessions)}
1,000 sessions of 5 turns with short messages: {results.footprint / MIB:.1f} MiB.
"""


def _first_turns(results: Results) -> str:
    return f"""## The first request of a key ({len(results.firsts)} rounds)

No process has run a turn of the key before, so each takes a warm one of the pool.

{times(results.firsts)}"""


def _fronts(results: Results) -> str:
    return f"""## Responses beside chat completions ({len(results.fronts.rounds)} rounds)

The same question through both APIs. "Codex's request" has 40 tools and long instructions, about
50 kB together.

{times(results.fronts.rounds)}"""


def _mcp(results: Results) -> str:
    return f"""## An agent's turn with an MCP server ({len(results.mcp)} rounds)

The server is on the same machine, over HTTP. Each turn connects it to a process that is warm.

{times(results.mcp)}"""


def _load_and_cost(results: Results) -> str:
    load = results.load
    return f"""## Under load, and the gateway's own cost

{AT_ONCE} clients that ask one question after another, profile plain: {load.fresh:.1f} turns a
second on fresh processes, out of the {load.most:.1f} that the cores can do at {load.cpu:.2f} s of
CPU for a boot and a turn; {load.recycled:.1f} on recycled ones (`POOL_RECYCLE=auto`, as all
settings by default); {load.printed:.1f} of `claude -p` as it comes. A batch runs as many turns
at once as it may, also while the first tokens of a client's are timed, who asks one question after
another.

With an engine that costs nothing, under the same gunicorn, and with 64 clients of each kind that
send slowly, or not at all, never read, never leave, or leave at once:

{_bullets(results.checks)}

![The times, and each number as a part of its limit](results.png)
"""


def _bullets(lines: Sequence[object]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def table(rounds: Sequence[Round]) -> str:
    """Return a row for each contender, fastest first: the median, and the quartiles in brackets."""
    names = sorted(rounds[0], key=lambda name: seconds(rounds, name, "first").median)
    return HEAD + "".join(_row(rounds, name) for name in names)


def times(rounds: Sequence[Round]) -> str:
    """Return a table of the contenders' own times."""
    head = "| | first token, ms | total, ms |\n| --- | --- | --- |\n"
    rows = (
        f"| `{name}` | {_milliseconds(seconds(rounds, name, 'first'))} "
        f"| {_milliseconds(seconds(rounds, name, 'total'))} |\n"
        for name in rounds[0]
    )
    return head + "".join(rows)


def _row(rounds: Sequence[Round], name: str) -> str:
    cells = [
        f"`{name}`",
        _milliseconds(seconds(rounds, name, "first")),
        _milliseconds(seconds(rounds, name, "total")),
        *(
            _ratio(ratio(rounds, name, under, part))
            for under in (PRINT, BARE)
            for part in ("first", "total")
        ),
    ]
    return f"| {' | '.join(cells)} |\n"


def _milliseconds(of: Spread) -> str:
    return f"{of.median * 1e3:.0f} ({of.low * 1e3:.0f}-{of.high * 1e3:.0f})"


def _ratio(of: Spread) -> str:
    return f"{of.median:.2f} ({of.low:.2f}-{of.high:.2f})"
