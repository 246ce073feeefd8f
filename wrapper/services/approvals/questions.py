"""Questions to a turn's owner: what their answers must be, and whether they are.

Claude Code's tool AskUserQuestion asks up to four questions, each with some options. An elicitation
is a form of an MCP server, or a web page that it wants the user to open.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from wrapper.errors import InvalidRequest
from wrapper.json_text import Json
from wrapper.services.approvals.approval import Approval, Decision, ToolRequest
from wrapper.services.background.offload.runner import Exceeded, Job, offload

QUESTION_TOOL = "AskUserQuestion"
# The property that holds an answer in words, in place of one of the options.
OTHER = "other"
LONGEST_ANSWER = 4000
CHECK_SECONDS = 1.0


def answer_schema(request: ToolRequest) -> Json | None:
    """Return the JSON Schema of the answers to *request*; None where it asks for none.

    Raises ValueError for questions that cannot be read.
    """
    if request.kind == "question":
        return _form({text: _schema_of(question) for text, question in _questions(request.input)})
    schema = request.input.get("requested_schema") if request.kind == "elicitation" else None
    return dict(schema) if isinstance(schema, Mapping) else None


def question_lines(given: Mapping[str, Any]) -> str:
    """Return the questions and their options as lines of text."""
    lines: list[str] = []
    for text, question in _questions(given):
        lines += [text, *(f"- {label}: {why}" for label, why in _options(question))]
    return "\n".join(lines)


def check_answers(approval: Approval, decision: Decision) -> None:
    """Raise InvalidRequest where *decision* does not answer what *approval* asks."""
    if not decision.allowed:
        return
    if approval.answer_schema is None:
        if decision.answers is not None:
            raise _mistake("this approval asks no questions; leave them out.")
    elif decision.answers is None:
        raise _mistake("they are missing; answer_schema says what they must be.")
    elif why := _misfit(approval.answer_schema, decision.answers):
        raise _mistake(f"they do not match answer_schema: {why}")


def answer_texts(answers: Mapping[str, Any]) -> dict[str, str]:
    """Return valid answers to questions as Claude Code expects them: a text for each question."""
    return {question: _text_of(answer) for question, answer in answers.items()}


def _questions(given: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the text of each question, and the question. Raises ValueError."""
    questions = given.get("questions")
    if not isinstance(questions, list) or not questions:
        raise ValueError("there are no questions")
    for question in questions:
        if not isinstance(question, dict) or not isinstance(question.get("question"), str):
            raise ValueError("a question has no text")
        yield question["question"], question


def _options(question: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the label and the description of each option. Raises ValueError."""
    options = question.get("options")
    if not isinstance(options, list) or not options:
        raise ValueError("a question has no options")
    for option in options:
        if not isinstance(option, dict) or not isinstance(option.get("label"), str):
            raise ValueError("an option has no label")
        yield option["label"], str(option.get("description") or "")


def _schema_of(question: Mapping[str, Any]) -> Json:
    """Return the schema of the answer: an option, or several, or other words."""
    one: Json = {"enum": [label for label, _ in _options(question)]}
    several: Json = {"type": "array", "items": one, "minItems": 1, "uniqueItems": True}
    other = _form({OTHER: {"type": "string", "minLength": 1, "maxLength": LONGEST_ANSWER}})
    return {"anyOf": [several if question.get("multiSelect") is True else one, other]}


def _form(properties: Json) -> Json:
    required = {"required": [*properties], "additionalProperties": False}
    return {"type": "object", "properties": properties, **required}


def _text_of(answer: Any) -> str:
    if isinstance(answer, Mapping):
        return str(answer[OTHER])
    return ", ".join(answer) if isinstance(answer, list) else str(answer)


def _misfit(schema: Mapping[str, Any], answers: Mapping[str, Any]) -> str | None:
    """Return why *answers* do not fit *schema*, which may be an MCP server's."""
    text = json.dumps(schema).encode()
    body = text + json.dumps(answers).encode()
    job = Job("check", body, CHECK_SECONDS, options={"size": len(text)})
    try:
        reason: str | None = offload.run(job)
    except Exceeded:
        return "the schema takes too long to check; deny the request"
    return reason


def _mistake(why: str) -> InvalidRequest:
    return InvalidRequest(f"answers: {why}", param="answers", code="invalid_value")
