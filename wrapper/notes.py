"""Notes: what a client learns about its answer besides the answer, in responses and in errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

# Fields whose values replace each other. Tuples in the other fields are joined.
_STATES = ("timing", "rates")
# Fields that hold paths of the request.
_PATHS = (
    *("ignored_params", "clamped_params", "adapted_params", "adapted_messages"),
    *("retried_params", "unmet_params", "resized_images", "corrected_files"),
)


@dataclass(frozen=True)
class TimedPart:
    """How long a part of a request took. `source` says where its process came from."""

    name: str
    seconds: float
    source: str = ""


@dataclass(frozen=True)
class RateState:
    """The state of one rate of a key: the `limit` of a minute, and what `remains` of it."""

    what: str
    limit: int
    remains: int
    resets_in_seconds: int


@dataclass(frozen=True)
class BudgetWarning:
    """A budget by its limit's name, and the `percent` of it that are spent at least."""

    name: str
    percent: int


@dataclass(frozen=True)
class Notes:
    """Parameters and paths by what became of them, and what the request took.

    `model_remapped` is the retired model that another one ran for. `failed_models` are those that
    failed before another one answered. `ended_early` is the code of
    the reason. `replayed` says that the answer was given before. `failed_checks` are those of
    Claude Code that it depends on.
    """

    model_remapped: str = ""
    ignored_params: tuple[str, ...] = ()
    clamped_params: tuple[str, ...] = ()
    adapted_params: tuple[str, ...] = ()
    adapted_messages: tuple[str, ...] = ()
    retried_params: tuple[str, ...] = ()
    unmet_params: tuple[str, ...] = ()
    ended_early: str = ""
    resized_images: tuple[str, ...] = ()
    corrected_files: tuple[str, ...] = ()
    failed_checks: tuple[str, ...] = ()
    replayed: bool = False
    cost_usd: float | None = None
    timing: tuple[TimedPart, ...] = ()
    rates: tuple[RateState, ...] = ()
    failed_models: tuple[str, ...] = ()
    budget_warnings: tuple[BudgetWarning, ...] = ()

    def __or__(self, later: Notes) -> Notes:
        """Return both together: lists are joined, and other values of *later* take precedence.

        Of one budget the later warning counts.
        """
        if later is NO_NOTES:
            return self
        if self is NO_NOTES:
            return later
        fields = dict(vars(self))
        for name, value in vars(later).items():
            if name == "budget_warnings":
                warnings = {each.name: each for each in (*fields[name], *value)}
                fields[name] = tuple(warnings.values())
            elif isinstance(value, tuple) and name not in _STATES:
                fields[name] = tuple(dict.fromkeys((*fields[name], *value)))
            elif _is_set(value):
                fields[name] = value
        return Notes(**fields)

    def relocated(self, locate: Callable[[str], str]) -> Notes:
        """Return the notes with each path as *locate* makes it."""
        paths: dict[str, Any] = {name: tuple(map(locate, getattr(self, name))) for name in _PATHS}
        return replace(self, **paths) if self else self

    def __bool__(self) -> bool:
        return self != NO_NOTES


def _is_set(value: Any) -> bool:
    return value is not None and value is not False and value not in ("", ())


NO_NOTES = Notes()
