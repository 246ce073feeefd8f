"""Make the parser of a turn's stream."""

from __future__ import annotations

from functools import cache, partial

from wrapper.services.claude.processes.state import ProcessState
from wrapper.services.claude.protocol.content_blocks import answer_name, names_of
from wrapper.services.claude.protocol.raw_parser import RawParser
from wrapper.services.claude.protocol.stream_parser import StreamParser
from wrapper.services.claude.protocol.thinking_history import prefix_of
from wrapper.services.claude.protocol.turn_parser import TurnParser
from wrapper.services.claude.protocol.usage_counter import UsageCounter
from wrapper.services.tools.mcp import find_asked
from wrapper.services.turn import Turn


def make_parser(turn: Turn, state: ProcessState | None) -> TurnParser:
    """Return the parser for *turn*, on a process with the *state* that earlier turns have left."""
    usage, resumed = UsageCounter(state.result if state else None), state is not None
    if turn.body is not None:
        return RawParser(usage, resumed=resumed)
    return StreamParser(
        turn.sampling.stop,
        names_of(turn),
        answer_name(turn),
        usage,
        resumed=resumed,
        prefix=cache(partial(prefix_of, turn)),
        find_asked=partial(find_asked, turn.mcp_servers),
    )
