"""The plugin: apispec taught to tell of our schemas just as they load."""

from __future__ import annotations

from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import fields

from wrapper.schemas.base import BaseSchema, Shape, nullable


class Plugin(MarshmallowPlugin):
    """Heeds a field's `json_schema` and a schema's `tell`, where they have them."""

    def init_spec(self, spec: APISpec) -> None:
        super().init_spec(spec)
        if self.converter:
            self.converter.add_attribute_function(_as_loaded)  # type: ignore[no-untyped-call]

    def schema_helper(self, *args: Any, **kwargs: Any) -> Any:
        """Return the JSON Schema of a component, where a Marshmallow `schema` is given for it."""
        told = super().schema_helper(*args, **kwargs)  # type: ignore[no-untyped-call]
        shape: Shape | None = kwargs.get("schema")
        kind = shape if isinstance(shape, type) else type(shape)
        if told is None or not issubclass(kind, BaseSchema):
            return told
        return kind.tell({"additionalProperties": True, **told})


def _as_loaded(_: Any, field: fields.Field[Any], ret: dict[str, Any]) -> dict[str, Any]:
    """Put right, in *ret*, what apispec does not read off a field."""
    if own := getattr(field, "json_schema", None):
        ret.pop("default", None)  # null, which stands for absence
        return nullable(own) if field.allow_none else own
    if isinstance(field, fields.Dict):
        for edge in ("min", "max"):
            if (length := ret.pop(f"{edge}Length", None)) is not None:
                ret[f"{edge}Properties"] = length
    return {}
