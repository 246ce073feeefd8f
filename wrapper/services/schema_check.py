"""The schema check: whether a JSON Schema is valid, and whether an answer fits it.

It runs in a child of the offload's fork server, which ends it where it takes too long.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, NoReturn

from jsonschema_rs import Draft202012Validator, FancyRegexOptions, ValidationError

BACKTRACKS = 100_000
TOLD_CHARACTERS = 300


def compile_schema(body: bytes) -> str | None:
    """Return why the JSON Schema in *body* is not valid; None if it is.

    An empty object is checked against it too: what takes too long for that does so for all.
    """
    try:
        _validator(json.loads(body, parse_float=Decimal)).is_valid({})
    except (ValueError, RecursionError) as error:
        return _reason(error)
    return None


def check_answer(body: bytes, size: int) -> str | None:
    """Return why an answer does not fit a JSON Schema, which is the first *size* bytes of *body*.

    Return None if it fits.
    """
    try:
        answer = json.loads(body[size:], parse_constant=_refuse_constant, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        return f"it is not JSON: {_reason(error)}"
    try:
        _validator(json.loads(body[:size], parse_float=Decimal)).validate(answer)
    except ValidationError as error:
        where = ".".join(map(str, error.instance_path))
        return f"{where}: {_reason(error)}" if where else _reason(error)
    except (ValueError, RecursionError) as error:
        return _reason(error)
    return None


def _validator(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(
        schema,
        retriever=_refuse_reference,
        pattern_options=FancyRegexOptions(backtrack_limit=BACKTRACKS),
    )


def _refuse_reference(uri: str) -> NoReturn:
    raise ValueError(f"{uri[:80]} is somewhere else; put what it refers to into $defs")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _reason(error: Exception) -> str:
    message = error.message if isinstance(error, ValidationError) else str(error)
    return message.partition("\n")[0][:TOLD_CHARACTERS]
