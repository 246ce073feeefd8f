"""Tables of request parameters, each with its treatment here.

Validation, the header x-ignored-params, the OpenAPI document and docs/ all read an API's table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from marshmallow import ValidationError

from wrapper.json_text import Json
from wrapper.schemas.base import (
    CodedMessage,
    describe,
    is_neutral,
    neutral_json_schemas,
    nullable,
)


class Kind(Enum):
    """How the gateway treats a parameter that is not neutral."""

    HONOURED = "honoured"
    REFUSED = "refused"
    IGNORED = "without effect"


@dataclass(frozen=True)
class Parameter:
    """A parameter's kind and meaning, and the neutral values that, like null, ask for nothing."""

    kind: Kind
    meaning: str
    neutral: tuple[Any, ...] = ()

    @property
    def description(self) -> str:
        """Return the description for the OpenAPI document."""
        if self.kind is Kind.IGNORED:
            return f"Validated, but without effect. {self.meaning}"
        return self.meaning


def honoured(meaning: str, *neutral: Any) -> Parameter:
    return Parameter(Kind.HONOURED, meaning, neutral)


def refused(meaning: str, *neutral: Any) -> Parameter:
    return Parameter(Kind.REFUSED, meaning, neutral)


def ignored(meaning: str, *neutral: Any) -> Parameter:
    return Parameter(Kind.IGNORED, meaning, neutral)


# The parameters for the user for whom a request is.
NO_EQUIVALENT = "Claude has no equivalent."
USER = (
    "A key's limits of its users count by it, if the key has any (user_usd_per_day and others). "
    "Claude Code sends its own user id upstream."
)


class ParameterTable(dict[str, Parameter]):
    """The parameters of one API's request, by name."""

    def __init__(self, **parameters: Parameter):
        super().__init__(parameters)
        self._by_kind = {
            kind: {name: row for name, row in self.items() if row.kind is kind} for kind in Kind
        }

    def of(self, kind: Kind) -> dict[str, Parameter]:
        """Return the parameters of *kind*, by name."""
        return self._by_kind[kind]

    def used(self, body: Mapping[str, Any], kind: Kind) -> Iterator[str]:
        """Yield the parameters of *kind* that *body* sets to other than neutral values."""
        for name, parameter in self._by_kind[kind].items():
            if name in body and not is_neutral(body[name], parameter.neutral):
                yield name

    def drop(
        self, body: Mapping[str, Any], names: Collection[str]
    ) -> tuple[Mapping[str, Any], tuple[str, ...]]:
        """Return *body* without the parameters *names*, and those dropped that were not neutral."""
        present = [name for name in names if name in body and name in self]
        if not present:
            return body, ()
        dropped = (name for name in present if not is_neutral(body[name], self[name].neutral))
        return {name: value for name, value in body.items() if name not in present}, tuple(dropped)

    def refuse_unsupported(self, body: Mapping[str, Any]) -> None:
        """Raise ValidationError for the first parameter in *body* that cannot be honoured."""
        for name in self.used(body, Kind.REFUSED):
            message = f"{name} is not supported by this gateway; leave it out. {self[name].meaning}"
            raise ValidationError(CodedMessage(message, "unsupported_parameter"), name)

    def describe_all(self, json_schema: Json) -> Json:
        """Return a request's JSON Schema with each parameter's description, and those refused."""
        required = json_schema.get("required", ())
        properties = {
            name: property_ if name in required else nullable(property_)
            for name, property_ in json_schema["properties"].items()
        }
        refused = self.of(Kind.REFUSED)
        properties |= neutral_json_schemas({name: row.neutral for name, row in refused.items()})
        for name in properties.keys() - refused.keys():
            properties[name] = {**properties[name], **describe(self[name].description)}
        return {**json_schema, "properties": properties}
