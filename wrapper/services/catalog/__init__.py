"""The catalog: the models that the gateway serves, and the names that requests use for them."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from wrapper.errors import ModelNotFound
from wrapper.services.catalog.model_names import is_claude, spellings
from wrapper.services.turn import ThinkingMode
from wrapper.settings import Settings

# The five models of the first release, all retired by now, and the family of their successors.
LEGACY = {
    "claude-sonnet-4-20250514": "sonnet",
    "claude-opus-4-20250514": "opus",
    "claude-3-7-sonnet-20250219": "sonnet",
    "claude-3-5-sonnet-20241022": "sonnet",
    "claude-3-5-haiku-20241022": "haiku",
}
# Claude Code's aliases, which hold before it has reported its models.
ALIASES = ("sonnet", "opus", "haiku")
# Claude Code's name for the model that it chooses itself.
DEFAULT = "default"


@dataclass(frozen=True)
class Model:
    """A model. Requests name it by `id`, and `runs` is the id of the model that then runs.

    `capabilities` is None where the engine does not report them. `min_version` is the version of
    Claude Code that the model needs, where the one that runs is too old for it.
    """

    id: str
    runs: str
    title: str = ""
    capabilities: Capabilities | None = None
    min_version: str | None = None

    @property
    def name(self) -> str:
        """Return the name to show: the title of an alias, or the id of a model."""
        return self.id if self.id == self.runs else self.title or self.id


@dataclass(frozen=True)
class ResolvedModel:
    """The `model` to run for a request's name, and the retired model that it replaces, if any."""

    model: str
    remapped: str | None = None


class Catalog:
    """The models that are served. *reported* returns the engine's models without waiting."""

    def __init__(
        self,
        reported: Callable[[], Sequence[Model]],
        *,
        default: str,
        aliases: Mapping[str, str],
        remap: bool,
    ):
        self._reported = reported
        self._default = default
        self._aliases = aliases
        self._remap = remap

    def models(self) -> list[Model]:
        """Return the models, each name once.

        Clients take the first one where their user chooses none, so that of DEFAULT_MODEL comes
        first. Claude Code's own default, which may be its dearest model, comes last.
        """
        models = {model.id: model for model in self._all()}
        return sorted(models.values(), key=_is_default)

    def find(self, name: str) -> Model:
        """Return the model called *name*. Raises ModelNotFound if requests cannot use that name."""
        for model in self.models():
            if model.id == name:
                return model
        return Model(name, self.choose(name).model)

    def choose(self, name: str | None) -> ResolvedModel:
        """Return the model to run for a request's *name*. None stands for the default.

        Raises ModelNotFound for a name that no Claude model has.
        """
        wanted = name or self._default
        for spelling in spellings(wanted):
            if choice := self._choose(spelling):
                return choice
        raise ModelNotFound(
            f"The model {wanted[:100]!r} is not served here; GET /v1/models lists what is, and "
            "MODEL_ALIASES gives other names to them.",
            param="model",
        )

    def _choose(self, name: str) -> ResolvedModel | None:
        """Return the model to run for exactly this *name*; names in settings are not checked."""
        wanted = self._aliases.get(name, name)
        if self._remap and wanted in LEGACY:
            return ResolvedModel(LEGACY[wanted], remapped=wanted)
        if is_claude(wanted) or wanted in ALIASES or self._is_named(wanted):
            return ResolvedModel(wanted)
        return None

    def _is_named(self, name: str) -> bool:
        """Say whether Claude Code or the settings have a model of this name."""
        if name == self._default or name in self._aliases.values():
            return True
        return any(name in (model.id, model.runs) for model in self._reported())

    def resolve(self, name: str) -> str:
        """Return the id of the model that runs for *name*, or *name* itself where it is unknown."""
        wanted = self._aliases.get(name, name)
        return next((model.runs for model in self._reported() if model.id == wanted), wanted)

    def min_version(self, model: str) -> str | None:
        """Return the Claude Code that *model*, the one that runs, needs if the current is older."""
        return min_version_of(model, self._reported())

    def capabilities(self, model: str) -> Capabilities:
        """Return the parameters that *model*, the one that runs, accepts."""
        reported = self._reported()
        for candidate in reported:
            if model in (candidate.id, candidate.runs):
                return candidate.capabilities or capabilities_of(candidate.runs)
        # Until the engine reports its models, an alias stands for the newest of its family. An
        # alias that a report omits may run an older one, as with Bedrock and Vertex AI.
        return NEWEST if model in ALIASES and not reported else capabilities_of(model)

    def _all(self) -> Iterator[Model]:
        """Yield the models. Of several with one name the last one counts."""
        reported = self._reported()
        first = self.resolve(self._default)
        for model in sorted(reported, key=lambda model: (_is_default(model), model.runs != first)):
            yield Model(model.runs, model.runs, "" if _is_default(model) else model.title)
        yield from reported
        for alias in ALIASES:
            if not any(model.id == alias for model in reported):
                yield Model(alias, alias)
        for name, family in LEGACY.items():
            yield Model(name, family if self._remap else name)
        for name, target in self._aliases.items():
            yield Model(name, target)


def _is_default(model: Model) -> bool:
    return model.id == DEFAULT


def min_version_of(model: str, reported: Sequence[Model]) -> str | None:
    """Return the version of Claude Code that *model* needs by what is *reported*, None if any."""
    fitting = (each.min_version for each in reported if model in (each.id, each.runs))
    return next(filter(None, fitting), None)


def created(model_id: str) -> int:
    """Return the date in a model's id in Unix seconds, or 0 where it has none."""
    if not (match := re.search(r"(20\d\d)(\d\d)(\d\d)", model_id)):
        return 0
    year, month, day = map(int, match.groups())
    return calendar.timegm((year, month, day, 0, 0, 0))


@dataclass(frozen=True)
class Capabilities:
    """The parameters that a model accepts. `thinking_off` says that thinking can be turned off.

    `effort_levels` says that Claude Code sends an effort itself, and not a thinking budget for it.
    """

    temperature: bool = True
    top_p: bool = True
    reasoning_effort: bool = True
    effort_levels: bool = True
    thinking_off: bool = True
    max_output_tokens: int = 128_000

    @property
    def thinking(self) -> ThinkingMode:
        """Return how the model thinks. Those that take no temperature take no budget either."""
        if not self.thinking_off:
            return "always"
        return "budget" if self.temperature else "adaptive"


NEWEST = Capabilities(temperature=False, top_p=False, thinking_off=False)
# The first pattern that matches a model's id counts. The table follows what Claude Code 2.1 sends
# for each model. Claude Code does not report sampling, and thinking only for models that it lists.
FAMILIES: tuple[tuple[re.Pattern[str], Capabilities], ...] = tuple(
    (re.compile(pattern), capabilities)
    for pattern, capabilities in (
        (
            r"claude-(\w+-)?([123]\b|v\d|instant)",
            Capabilities(reasoning_effort=False, effort_levels=False),
        ),
        (r"claude-(opus|sonnet)-4(?!-\d\b)", Capabilities(effort_levels=False)),
        # From 4.1 on the API accepts only one of both, and Claude Code always sends a temperature.
        (
            r"claude-(opus-4-1|(sonnet|haiku)-4-5)\b",
            Capabilities(top_p=False, effort_levels=False),
        ),
        (r"claude-\w+-4-[1-6]\b", Capabilities(top_p=False)),
        (r"claude-\w+-4\b", Capabilities(temperature=False, top_p=False)),
        (r"claude-(opus|sonnet)-5(?!-\d\b)", Capabilities(temperature=False, top_p=False)),
    )
)


# The most tokens of an answer, by the same rule, where the limit is below 128,000. Claude Code
# 2.1.330 cuts off what is above that.
OUTPUT: tuple[tuple[re.Pattern[str], int], ...] = tuple(
    (re.compile(pattern), most)
    for pattern, most in (
        (r"claude-3-(opus|haiku)", 4_096),
        (r"claude-3-sonnet|claude-3-5-", 8_192),
        (r"claude-opus-4(?!-[5-9]\b)", 32_000),
        (r"claude-3-7-sonnet|claude-sonnet-4(?!-[6-9]\b)|claude-(haiku|opus)-4-5\b", 64_000),
    )
)


@lru_cache(maxsize=256)
def capabilities_of(model: str) -> Capabilities:
    """Return what *model*, an id of Anthropic or of a provider, is known to accept.

    A family that is not in the table is newer than the table. A model whose id names no family is
    taken to accept everything, so that its provider decides.
    """
    matching = (capabilities for pattern, capabilities in FAMILIES if pattern.search(model))
    capabilities = next(matching, NEWEST if "claude-" in model else Capabilities())
    limits = (most for pattern, most in OUTPUT if pattern.search(model))
    return replace(capabilities, max_output_tokens=next(limits, capabilities.max_output_tokens))


def open_catalog(settings: Settings, reported: Callable[[], Sequence[Model]]) -> Catalog:
    """Return the catalog of the models that *reported* returns, with the names of *settings*."""
    return Catalog(
        reported,
        default=settings.default_model,
        aliases=dict(settings.model_aliases),
        remap=settings.legacy_models == "remap",
    )
