"""Reminders: texts that ask the model for what the API cannot force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from wrapper.services.turn import Function, Message, Part, Reminder, ToolChoice


def reminder_to_call(functions: Sequence[Function], tool_choice: ToolChoice) -> Reminder:
    """Return a request for the call that *tool_choice* demands."""
    return _reminder(
        f"Answer this message by calling {_describe(functions, tool_choice)}. The application that "
        "sent it takes no other answer; write no text beside the call."
    )


def reminder_of_call(functions: Sequence[Function], tool_choice: ToolChoice) -> Reminder:
    """Return the same request after an answer without such a call."""
    return _reminder(
        f"That answer had no call of {_describe(functions, tool_choice)}, so the application "
        "cannot use it. Answer again, now with the call and nothing else; do not mention this "
        "reminder."
    )


def reminder_of_schema(why: str) -> Reminder:
    """Return a request to answer in the demanded form. *why* is the fault of the last answer."""
    return _reminder(
        f"The application cannot use that answer: {why}. Give the whole answer again, in the form "
        "that was asked for and nothing else; do not mention this reminder."
    )


def reminder_of_arguments(name: str, why: str) -> Reminder:
    """Return a request to call function *name* again, with arguments that match its schema."""
    return _reminder(
        f"The application cannot use that answer: the arguments of {name} do not match its JSON "
        f"Schema: {why}. Make your calls again, now with arguments that match; do not mention this "
        "reminder."
    )


def reminder_to_go_on() -> Reminder:
    """Return a request to go on after a message of the model's own."""
    return _reminder(
        "The application asks you to speak again after your own last message. If that message is "
        "unfinished, go on exactly where it stops and repeat nothing of it. If it is complete, "
        "take the next step of the conversation, or give your answer in the form that is asked "
        "for. Do not mention this reminder."
    )


def reminder_of_blank() -> Reminder:
    """Return a replacement for a blank user message, which the model's API does not accept."""
    return _reminder("The user sent a message without any text. Do not mention this reminder.")


def reminder_of_opening() -> Reminder:
    """Return a user message to put before a conversation that the assistant begins."""
    return _reminder("The conversation begins with your own message. Do not mention this reminder.")


def with_reminder(messages: tuple[Message, ...], reminder: Reminder) -> tuple[Message, ...]:
    """Return *messages* with *reminder* at the end of the user's last message.

    Nothing can be added where the model goes on from its own words.
    """
    last = messages[-1]
    if last.role != "user":
        return messages
    return (*messages[:-1], replace(last, parts=(*last.parts, reminder)))


def corrected(
    messages: tuple[Message, ...], answer: tuple[Part, ...], correction: tuple[Part, ...]
) -> tuple[Message, ...]:
    """Return *messages* followed by the model's *answer*, if any, and the *correction* of it."""
    last = messages[-1]
    if answer and last.role == "assistant":
        messages = (*messages[:-1], replace(last, parts=(*last.parts, *answer)))
    elif answer:
        messages = (*messages, Message("assistant", answer))
    if messages[-1].role == "user":
        return (*messages[:-1], replace(messages[-1], parts=(*messages[-1].parts, *correction)))
    return (*messages, Message("user", correction))


def _describe(functions: Sequence[Function], tool_choice: ToolChoice) -> str:
    if tool_choice.mode == "one":
        return f"the function {tool_choice.name}"
    names = ", ".join(function.name for function in functions)
    if len(functions) == 1:
        return f"the function {names}"
    return f"{'one or more' if tool_choice.parallel else 'exactly one'} of these functions: {names}"


def _reminder(text: str) -> Reminder:
    # By these tags Claude knows that the user did not write the text.
    return Reminder(f"<system-reminder>\n{text}\n</system-reminder>")
