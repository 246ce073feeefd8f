"""The listing: the models that the CLI says it has, by name and by what each name runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from wrapper.services.catalog import ALIASES, Capabilities, Model, capabilities_of

Row = Mapping[str, Any]
Ask = Callable[[Row], Row]


def ask_models(ask: Ask) -> list[Row]:
    """Return a row for each model that the CLI has; *ask* sends it a control request.

    With Bedrock and Vertex AI it does not list all of its aliases, some of which run older models.
    """
    rows = list(ask({"subtype": "list_models"}).get("models") or ())
    return [*rows, *_unlisted(ask, {row.get("value") for row in rows})]


def _unlisted(ask: Ask, listed: set[Any]) -> Iterator[Row]:
    for alias in ALIASES:
        if alias not in listed:
            # Every turn sets the model anew, so that this one may stay.
            ask({"subtype": "apply_flag_settings", "settings": {"model": alias}})
            applied = ask({"subtype": "get_settings"}).get("applied") or {}
            if runs := applied.get("model"):
                yield {"value": alias, "resolvedModel": runs}


def read_models(rows: Iterable[Row]) -> tuple[Model, ...]:
    """Return the models in *rows*; a row without a name is none."""
    return tuple(_model(row) for row in rows if row.get("value"))


def _model(row: Row) -> Model:
    name = str(row["value"])
    runs = str(row.get("resolvedModel") or name)
    return Model(name, runs, str(row.get("displayName") or ""), _supports(runs, row))


def _supports(runs: str, row: Row) -> Capabilities:
    """Return what a model takes: as the CLI says, and by its family where it does not.

    Where there are no levels of effort the CLI still sends a thinking budget, so that a missing
    `supportsEffort` means nothing.
    """
    known = capabilities_of(runs)
    return replace(
        known,
        reasoning_effort=bool(row.get("supportsEffort") or known.reasoning_effort),
        thinking_off=bool(row.get("supportsThinkingOff", known.thinking_off)),
    )
