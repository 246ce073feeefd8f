"""The form in which a person answers a question, or an MCP server's form, that waits.

What asks is untrusted: the form has fields of a few kinds, which are named by their position. Where
a schema does not fit into such a form, the answers are written as JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from werkzeug.datastructures import MultiDict

from wrapper.errors import InvalidRequest
from wrapper.services.approvals.approval import Approval
from wrapper.services.approvals.questions import OTHER

MOST_FIELDS = 50
MOST_CHOICES = 100
JSON_FIELD = "json"
KINDS = {"string": "text", "integer": "number", "number": "number", "boolean": "flag"}
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?", re.ASCII)


@dataclass(frozen=True)
class Choice:
    """An option: the `value` in the answers, what the person reads, and whether it is preset."""

    value: Any
    label: str
    help: str = ""
    preset: bool = False


@dataclass(frozen=True)
class Field:
    """A field for the answer under `key`. Its `kind` is text, number, flag, choice or choices.

    `other` says that the person may answer in other words.
    """

    name: str
    key: str
    kind: str
    title: str
    help: str = ""
    choices: tuple[Choice, ...] = ()
    preset: str = ""
    required: bool = False
    other: bool = False


class _Unfit(Exception):
    """Raised where a schema does not fit into a form."""


def fields_of(approval: Approval) -> list[Field] | None:
    """Return the form's fields: none where nothing is asked, None where JSON is written instead."""
    schema = approval.answer_schema
    if schema is None:
        return []
    try:
        if approval.kind == "question":
            fields = list(_questions(approval.input["questions"]))
        else:
            fields = list(_properties(schema))
    except _Unfit:
        return None
    too_long = any(len(field.choices) > MOST_CHOICES for field in fields)
    return None if too_long or len(fields) > MOST_FIELDS else fields


def read_answers(approval: Approval, sent: MultiDict[str, str]) -> dict[str, Any] | None:
    """Return the answers that were *sent*, which are not checked; None where none are asked for.

    Raises InvalidRequest for JSON that cannot be read.
    """
    if approval.answer_schema is None:
        return None
    fields = fields_of(approval)
    if fields is None:
        return _json(sent.get(JSON_FIELD, ""))
    answers = {field.key: _value(field, sent) for field in fields}
    return {key: value for key, value in answers.items() if value is not None}


def _questions(questions: list[dict[str, Any]]) -> Iterator[Field]:
    for number, question in enumerate(questions):
        several = question.get("multiSelect") is True
        choices = tuple(
            Choice(option["label"], option["label"], str(option.get("description") or ""))
            for option in question["options"]
        )
        text = question["question"]
        kind = "choices" if several else "choice"
        yield Field(f"f{number}", text, kind, text, choices=choices, other=True)


def _properties(schema: Mapping[str, Any]) -> Iterator[Field]:
    """Yield a field for each property of an MCP server's form. Raises _Unfit."""
    properties = schema.get("properties")
    required = schema.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list):
        raise _Unfit
    for number, (key, property_) in enumerate(properties.items()):
        if not isinstance(property_, dict):
            raise _Unfit
        choices = tuple(_choices(property_))
        yield Field(
            f"f{number}",
            key,
            _kind(property_, choices),
            str(property_.get("title") or key),
            str(property_.get("description") or ""),
            choices,
            _preset(property_.get("default")),
            key in required,
        )


def _preset(default: Any) -> str:
    """Return what a field is filled with; a flag is set if that is "true"."""
    if default is None:
        return ""
    return default if isinstance(default, str) else json.dumps(default)


def _kind(property_: Mapping[str, Any], choices: tuple[Choice, ...]) -> str:
    kind = property_.get("type")
    if kind == "array" and choices:
        return "choices"
    if kind == "string" and choices:
        return "choice"
    if not isinstance(kind, str) or kind not in KINDS or choices:
        raise _Unfit
    return KINDS[kind]


def _choices(property_: Mapping[str, Any]) -> Iterator[Choice]:
    """Yield the values that a property may have, as the versions of MCP write them."""
    default = property_.get("default")
    presets = default if isinstance(default, list) else [default]
    source = property_.get("items") if property_.get("type") == "array" else property_
    if not isinstance(source, dict):
        raise _Unfit
    values, names = source.get("enum", []), source.get("enumNames", [])
    titled = source.get("oneOf") or source.get("anyOf") or []
    if not all(isinstance(part, list) for part in (values, names, titled)):
        raise _Unfit
    for number, value in enumerate(values):
        name = names[number] if number < len(names) else value
        yield Choice(value, str(name), preset=value in presets)
    for option in titled:
        if not isinstance(option, dict) or "const" not in option:
            raise _Unfit
        value = option["const"]
        yield Choice(value, str(option.get("title") or value), preset=value in presets)


def _value(field: Field, sent: MultiDict[str, str]) -> Any:
    """Return the answer in a field, or None where it is empty."""
    if field.kind == "flag":
        return field.name in sent
    if field.kind in ("choice", "choices"):
        return _choice(field, sent)
    text = sent.get(field.name, "").strip()
    if field.kind == "number" and _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    return text or None


def _choice(field: Field, sent: MultiDict[str, str]) -> Any:
    """Return what is chosen; of several choices also beside other words, which it becomes then."""
    chosen = [value for text in sent.getlist(field.name) for value in _chosen(field, text)]
    several = field.kind == "choices"
    if field.other and (words := sent.get(f"{field.name}-{OTHER}", "").strip()):
        return {OTHER: ", ".join([*chosen, words] if several else [words])}
    if several:
        return chosen or None
    return chosen[0] if chosen else None


def _chosen(field: Field, text: str) -> Iterator[Any]:
    """Yield the value of the choice that stands at the position *text*."""
    for number, choice in enumerate(field.choices):
        if text == str(number):
            yield choice.value


def _json(text: str) -> dict[str, Any]:
    try:
        answers = json.loads(text)
    except (ValueError, RecursionError):
        answers = None
    if not isinstance(answers, dict):
        raise InvalidRequest("answers: write them as a JSON object.", param="answers")
    return answers
