"""What a turn leaves its process with, by the events of the turn."""

from __future__ import annotations

from dataclasses import replace

from wrapper.json_text.precision import is_exact
from wrapper.services.claude.processes.state import ProcessState
from wrapper.services.claude.protocol.frames import Frame
from wrapper.services.events import Ended, Ending, Event, TextDelta, ToolUse
from wrapper.services.turn import Message, Turn


class Outcome:
    """Follows the events of *turn*. *state* has what the turn sets on its process."""

    def __init__(self, turn: Turn, state: ProcessState):
        self._turn = turn
        self._state = state
        self._texts: list[str] = []
        self._used_tools = False
        self._ending: Ending | None = None

    def note(self, event: Event) -> None:
        if isinstance(event, TextDelta):
            self._texts.append(event.text)
        elif isinstance(event, ToolUse):
            self._used_tools = True
        elif isinstance(event, Ended):
            self._ending = event.ending

    def state(self, result: Frame | None, *, interrupted: bool) -> ProcessState | None:
        """Return the process's state after the turn, None if no other turn may run on it.

        Another one may if this turn ended by itself, with a raw *result*. Without a session, a
        process that has used tools knows more than its client, and may have left files.
        """
        if self._ending is None or interrupted or result is None:
            return None
        if self._used_tools and self._turn.session is None:
            return None
        state = replace(self._state, result=result, turns=self._state.turns + 1)
        if self._turn.profile == "plain":  # each turn brings its whole conversation
            return replace(state, known=())
        known = self._known()
        return None if known is None else replace(state, known=known)

    def _known(self) -> tuple[Message, ...] | None:
        """Return the conversation that an agent knows, None if it knows another one."""
        # Claude Code's notes on plan mode, and on its end, would stay in the conversation.
        if self._ending is not Ending.DONE or self._turn.permissions.mode == "plan":
            return None
        text = "".join(self._texts)
        if self._turn.output_schema and not is_exact(text):
            return None  # it knows its own answer with other numbers
        answer = (Message("assistant", (text,)),) if text.strip() else ()
        return (*self._turn.messages, *answer)
