"""The listing: the models that the CLI says it has, read from its answer to `list_models`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from wrapper.services.catalog import Model
from wrapper.services.supports import Supports, supports_of


def read_models(rows: Iterable[Mapping[str, Any]]) -> tuple[Model, ...]:
    """Return the models in *rows*; a row without a name is none."""
    return tuple(_model(row) for row in rows if row.get("value"))


def _model(row: Mapping[str, Any]) -> Model:
    name = str(row["value"])
    runs = str(row.get("resolvedModel") or name)
    return Model(name, runs, str(row.get("displayName") or ""), _supports(runs, row))


def _supports(runs: str, row: Mapping[str, Any]) -> Supports:
    """Return what a model takes: as the CLI says, and by its family where it does not.

    Where there are no levels of effort the CLI still sends a thinking budget, so that a missing
    `supportsEffort` means nothing.
    """
    known = supports_of(runs)
    return replace(
        known,
        reasoning_effort=bool(row.get("supportsEffort") or known.reasoning_effort),
        thinking_off=bool(row.get("supportsThinkingOff", known.thinking_off)),
    )
