"""The catalogue: which models there are, and which one a request's name means."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from wrapper.errors import ModelNotFound
from wrapper.services.model_names import is_claude, spellings

# The five of the first release, all retired by now, and the family whose current model follows.
LEGACY = {
    "claude-sonnet-4-20250514": "sonnet",
    "claude-opus-4-20250514": "opus",
    "claude-3-7-sonnet-20250219": "sonnet",
    "claude-3-5-sonnet-20241022": "sonnet",
    "claude-3-5-haiku-20241022": "haiku",
}
# Claude Code's aliases, which it knows before it has been asked for them.
ALIASES = ("sonnet", "opus", "haiku")
# Claude Code's name for the model that it would choose itself.
DEFAULT = "default"


@dataclass(frozen=True)
class Model:
    """A model by the `id` that requests may use. `runs` is what the name stands for.

    `capabilities` is what it takes, where the engine says so.
    """

    id: str
    runs: str
    title: str = ""
    capabilities: Capabilities | None = None

    @property
    def name(self) -> str:
        """Return what to show: an alias has its title, and a model's own id stands for itself."""
        return self.id if self.id == self.runs else self.title or self.id


@dataclass(frozen=True)
class ResolvedModel:
    """What a request's name means: the `model` to run, and the retired one it replaces."""

    model: str
    remapped: str | None = None


class Catalog:
    """The models that are served. *reported* returns what the engine says it has, at once."""

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
        """Return every model that has a name, each name once.

        Clients take the first one where their user chooses none, so DEFAULT_MODEL's is the first.
        Claude Code's own default, which may be its dearest model, is the last.
        """
        models = {model.id: model for model in self._all()}
        return sorted(models.values(), key=_is_default)

    def find(self, name: str) -> Model:
        """Return the model called *name*. Raises ModelNotFound where no request could use it."""
        for model in self.models():
            if model.id == name:
                return model
        return Model(name, self.choose(name).model)

    def choose(self, name: str | None) -> ResolvedModel:
        """Return what to run for a request's *name*; None means the default.

        Raises ModelNotFound for a name that is no Claude model's.
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
        """Return what to run for exactly this *name*. The operator's own names go as they are."""
        wanted = self._aliases.get(name, name)
        if self._remap and wanted in LEGACY:
            return ResolvedModel(LEGACY[wanted], remapped=wanted)
        if is_claude(wanted) or wanted in ALIASES or self._is_named(wanted):
            return ResolvedModel(wanted)
        return None

    def _is_named(self, name: str) -> bool:
        """Say whether Claude Code or the operator names a model so."""
        if name == self._default or name in self._aliases.values():
            return True
        return any(name in (model.id, model.runs) for model in self._reported())

    def resolve(self, name: str) -> str:
        """Return what *name* runs, as far as that is known; *name* itself where it is not."""
        wanted = self._aliases.get(name, name)
        return next((model.runs for model in self._reported() if model.id == wanted), wanted)

    def capabilities(self, model: str) -> Capabilities:
        """Return which parameters *model*, one to run, takes."""
        reported = self._reported()
        for one in reported:
            if model in (one.id, one.runs):
                return one.capabilities or capabilities_of(one.runs)
        # Until the engine has said otherwise an alias stands for the newest of its family. One that
        # it knows and does not tell of may run an older one, as with Bedrock and Vertex AI.
        return NEWEST if model in ALIASES and not reported else capabilities_of(model)

    def _all(self) -> Iterator[Model]:
        """Yield the models, of which the last one with a name is the one that has it."""
        reported = self._reported()
        first = self.resolve(self._default)
        for model in sorted(reported, key=lambda one: (_is_default(one), one.runs != first)):
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


def created(model_id: str) -> int:
    """Return the date in a model's id in Unix seconds; 0 where it has none."""
    if not (found := re.search(r"(20\d\d)(\d\d)(\d\d)", model_id)):
        return 0
    year, month, day = map(int, found.groups())
    return calendar.timegm((year, month, day, 0, 0, 0))


@dataclass(frozen=True)
class Capabilities:
    """Whether a model takes a parameter; `thinking_off`, whether it can do without thinking."""

    temperature: bool = True
    top_p: bool = True
    reasoning_effort: bool = True
    thinking_off: bool = True
    max_output_tokens: int = 128_000


NEWEST = Capabilities(temperature=False, top_p=False, thinking_off=False)
# The first that is found in a model's id holds. What is listed here is what Claude Code 2.1 sends
# for each: it does not say so of sampling, and only of models that it lists of thinking.
FAMILIES: tuple[tuple[re.Pattern[str], Capabilities], ...] = tuple(
    (re.compile(pattern), capabilities)
    for pattern, capabilities in (
        (r"claude-(\w+-)?([123]\b|v\d|instant)", Capabilities(reasoning_effort=False)),
        (r"claude-(opus|sonnet)-4(?!-\d\b)", Capabilities()),
        # From 4.1 on the API takes only one of both, and Claude Code always sends a temperature.
        (r"claude-\w+-4-[1-6]\b", Capabilities(top_p=False)),
        (r"claude-\w+-4\b", Capabilities(temperature=False, top_p=False)),
        (r"claude-(opus|sonnet)-5(?!-\d\b)", Capabilities(temperature=False, top_p=False)),
    )
)


# The most tokens of an answer, by the same rule, where they are fewer than 128,000; what is above
# that Claude Code 2.1.330 cuts off.
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
    """Return what *model*, an id of Anthropic's or a provider's, takes, as far as it can be told.

    A family that is not in the table is newer than it. An id that names no family is held for one
    that takes everything, so that its provider judges.
    """
    found = (capabilities for pattern, capabilities in FAMILIES if pattern.search(model))
    capabilities = next(found, NEWEST if "claude-" in model else Capabilities())
    limits = (most for pattern, most in OUTPUT if pattern.search(model))
    return replace(capabilities, max_output_tokens=next(limits, capabilities.max_output_tokens))
