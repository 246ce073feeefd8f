"""Adapt a conversation to what the model's API accepts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from wrapper.services.messages.changes import Changes, refusal
from wrapper.services.messages.message import (
    ChatMessage,
    Numbered,
    content_of,
    is_blank,
    is_system,
    loses_blanks,
    merge,
    split_results,
    system_text,
)
from wrapper.services.messages.pairing import pair
from wrapper.services.messages.reminders import (
    reminder_of_blank,
    reminder_of_opening,
    reminder_to_go_on,
)
from wrapper.services.turn import Message, Reminder

BLANK = "must hold more than white space: the model's API takes no blank text"
FIRST = "the first message must be the user's"
LAST = (
    "the last message must be the user's, or the result of a call, to be answered; with "
    "claude.prefill the model goes on from it, if it can"
)
PREFILLED = "what the model is to go on from must be text, and not end with white space"
DROPPED = "the model's API has no form for it, so that the model would not get it"
SYSTEM_LAST = "a message of the user's, or the result of a call, must be there to be answered"


@dataclass(frozen=True)
class Adapted:
    """Messages that alternate between user and assistant, and the system prompt, if there is one.

    `paths` names what the model gets in another form than the client's.
    """

    messages: tuple[Message, ...]
    system: str | None = None
    paths: tuple[str, ...] = ()


def adapt(
    messages: Iterable[ChatMessage], *, prefill: bool = False, known: int = 0, strict: bool = False
) -> Adapted:
    """Return *messages* as the model's API accepts them. Every call, result and letter stays.

    Anything else that is lost is named. With *prefill* the last message may be the assistant's, and
    the model goes on from it. The first *known* messages come from the session. If *strict*, raises
    InvalidRequest where the model would get a message in another form.
    """
    changes = Changes(strict=strict)
    numbered = list(enumerate(messages, -known))
    _note_dropped(numbered, changes)
    system = system_text(message for _, message in numbered)
    at = None if prefill else _unanswered_system(numbered)
    if at is not None:
        index, message = numbered.pop(at)
        changes.note(index, "role", SYSTEM_LAST)
        # Without another system message, an empty prompt still replaces Claude Code's own.
        system = system_text(message for _, message in numbered) or ""
        numbered.insert(at, (index, replace(message, role="user")))
    spoken = [
        (index, part)
        for index, message in numbered
        if not is_system(message)
        for part in split_results(message)
    ]
    paired = list(pair(spoken, changes))
    if prefill:
        _check_prefill(paired)
    contents = [(message, content_of(message)) for _, message in paired]
    for (index, _), (message, content) in zip(paired, contents, strict=True):
        if loses_blanks(message, content):  # it is left out, or white space is lost
            changes.note(index, "content", BLANK)
    merged = tuple(merge(contents))
    return Adapted(_with_ends(merged, spoken, paired, changes, prefill), system, changes.paths)


def _note_dropped(numbered: Iterable[Numbered], changes: Changes) -> None:
    """Note what was dropped from messages when they were loaded."""
    for index, message in numbered:
        for path in message.dropped:
            changes.note(index, path, DROPPED)


def _unanswered_system(numbered: Sequence[Numbered]) -> int | None:
    """Return the index of the last system message if the model must answer it.

    It must where only system messages follow the assistant's last message.
    """
    for at in range(len(numbered) - 1, -1, -1):
        message = numbered[at][1]
        if not is_system(message):
            return None
        if not is_blank(message):
            break
    else:
        return None
    before = [message for _, message in numbered[:at] if not is_system(message)]
    ends = not before or (before[-1].role == "assistant" and not before[-1].calls)
    return at if ends else None


def _check_prefill(paired: Sequence[Numbered]) -> None:
    index, last = paired[-1] if paired else (0, ChatMessage("user", ()))
    text = "".join(part for part in last.parts if isinstance(part, str))
    if last.role == "assistant" and text != text.rstrip():
        raise refusal(index, "content", PREFILLED)


def _with_ends(
    merged: tuple[Message, ...],
    spoken: Sequence[Numbered],
    paired: Sequence[Numbered],
    changes: Changes,
    prefill: bool,
) -> tuple[Message, ...]:
    """Return *merged* with a user message at the beginning and at the end."""
    if not spoken:
        changes.note(0, "content", BLANK)
        return _as_message(reminder_of_blank())
    (start, first), (end, last) = spoken[0], paired[-1]
    if not merged or merged[0].role == "assistant":
        blank = first.role != "assistant"
        changes.note(start, "content" if blank else "role", BLANK if blank else FIRST)
        opening = reminder_of_blank() if blank else reminder_of_opening()
        merged = _as_message(opening) + merged
    if last.role == "assistant" and not prefill:
        changes.note(end, "role", LAST)
    if merged[-1].role == "user" or prefill:
        return merged
    blank = last.role != "assistant"
    return merged + _as_message(reminder_of_blank() if blank else reminder_to_go_on())


def _as_message(reminder: Reminder) -> tuple[Message, ...]:
    return (Message("user", (reminder,)),)
