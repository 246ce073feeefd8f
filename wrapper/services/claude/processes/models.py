"""List the CLI's models, and the full name of the model that each alias runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from wrapper.services.catalog import ALIASES, Capabilities, Model, capabilities_of

# In the description of a model that the CLI shows but does not offer.
_NEEDS = re.compile(r"Requires Claude Code v(\d+\.\d+\.\d+\S*) or later")

Row = Mapping[str, Any]
Ask = Callable[[Row], Row]


def ask_models(ask: Ask) -> list[Row]:
    """Return a row for each of the CLI's models; *ask* sends it a control request.

    With Bedrock and Vertex AI it does not list all of its aliases, some of which run older models.
    """
    rows = list(ask({"subtype": "list_models"}).get("models") or ())
    return [*rows, *_unlisted(ask, {row.get("value") for row in rows})]


def _unlisted(ask: Ask, listed: set[Any]) -> Iterator[Row]:
    for alias in ALIASES:
        if alias not in listed:
            # Each turn sets its model, so this one need not be reset.
            ask({"subtype": "apply_flag_settings", "settings": {"model": alias}})
            applied = ask({"subtype": "get_settings"}).get("applied") or {}
            if model := applied.get("model"):
                yield {"value": alias, "resolvedModel": model}


def read_models(rows: Iterable[Row]) -> tuple[Model, ...]:
    """Return the models in *rows*, without rows that have no name."""
    return tuple(_model(row) for row in rows if row.get("value"))


def _model(row: Row) -> Model:
    name = str(row["value"])
    runs = str(row.get("resolvedModel") or name)
    title = str(row.get("displayName") or "")
    return Model(name, runs, title, _capabilities(runs, row), _min_version(row))


def _min_version(row: Row) -> str | None:
    """Return the version that the CLI names for a model for which it is too old."""
    needs = _NEEDS.search(str(row.get("description"))) if row.get("disabled") is True else None
    return needs[1] if needs else None


def _capabilities(runs: str, row: Row) -> Capabilities:
    """Return a model's capabilities: what the CLI says, else those of its family.

    A missing `supportsEffort` means nothing, since for models without effort levels the CLI sends a
    thinking budget.
    """
    known = capabilities_of(runs)
    return replace(
        known,
        reasoning_effort=bool(row.get("supportsEffort") or known.reasoning_effort),
        thinking_off=bool(row.get("supportsThinkingOff", known.thinking_off)),
    )
