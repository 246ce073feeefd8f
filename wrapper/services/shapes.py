"""The shapes: JSON Schemas that callers write, and whether an answer fits one.

Schemas are not trusted: none leads to another place, and none makes a check take long.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from jsonschema_rs import Draft202012Validator, FancyRegexOptions, ValidationError

from wrapper.services.turn import Shape

BACKTRACKS = 100_000
TOLD_CHARACTERS = 300
# What the model's API takes at the top of no tool's schema.
NOT_AT_TOP = ("anyOf", "oneOf", "allOf")


def what_is_wrong(schema: Mapping[str, Any]) -> str | None:
    """Return why *schema* cannot describe an object that a model is to write; None if it can."""
    if schema.get("type") != "object":
        return f'must be of type "object", not {json.dumps(schema.get("type"))[:40]}'
    if found := [name for name in NOT_AT_TOP if name in schema]:
        return f"must not have {found[0]} at its top: the model's API does not take it"
    try:
        _validator(schema)
    except (ValueError, RecursionError) as error:
        return f"is no valid JSON Schema: {_told(error)}"
    return None


def misfit(shape: Shape, text: str) -> str | None:
    """Return why *text*, an answer, does not fit *shape*; None where it does."""
    try:
        answer = json.loads(text)
        error = next(iter(_validator(shape.schema).iter_errors(answer)), None)
    except (ValueError, RecursionError) as failure:
        return f"it is no JSON: {_told(failure)}"
    if error is None:
        return None
    where = ".".join(map(str, error.instance_path))
    return f"{where}: {_told(error)}" if where else _told(error)


def _validator(schema: Mapping[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(
        dict(schema),
        retriever=_refuse_reference,
        pattern_options=FancyRegexOptions(backtrack_limit=BACKTRACKS),
    )


def _refuse_reference(uri: str) -> NoReturn:
    raise ValueError(f"{uri[:80]} is somewhere else; put what it refers to into $defs")


def _told(error: Exception) -> str:
    message = error.message if isinstance(error, ValidationError) else str(error)
    return message.partition("\n")[0][:TOLD_CHARACTERS]
