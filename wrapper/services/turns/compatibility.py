"""Reduce a request to what its model supports, and name the parameters that this changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from wrapper.errors import InvalidRequest
from wrapper.notes import NO_NOTES, Notes
from wrapper.services.catalog import Capabilities
from wrapper.services.request import TurnRequest

# Values that equal the model's default.
_DEFAULT = (None, 1)


@dataclass(frozen=True)
class CompatibleRequest:
    """A request as its model supports it, and the parameters that differ from what was sent.

    The model does not get those that are `ignored`. It gets `clamped` ones at its own maximum, and
    `adapted` ones in another form or in words.
    """

    request: TurnRequest
    ignored: tuple[str, ...] = ()
    clamped: Mapping[str, int] = field(default_factory=dict)
    adapted: tuple[str, ...] = ()

    @property
    def notes(self) -> Notes:
        """Return what the client learns about its parameters."""
        if not (self.ignored or self.clamped or self.adapted):
            return NO_NOTES
        return Notes(
            ignored_params=self.ignored,
            clamped_params=tuple(self.clamped),
            adapted_params=self.adapted,
        )


def fit(request: TurnRequest, capabilities: Capabilities, *, strict: bool) -> CompatibleRequest:
    """Return *request* reduced to the *capabilities* of its model.

    Raises InvalidRequest if that changes anything and *strict* is set.
    """
    unsupported = tuple(_unsupported(request, capabilities))
    thinks = not capabilities.thinking_off or request.effort not in (None, "none")
    most = capabilities.max_output_tokens
    clamped = {"temperature": 1} if _is_hot(request) and "temperature" not in unsupported else {}
    if (request.max_tokens or 0) > most:
        clamped[request.limit_param] = most
        request = replace(request, max_tokens=most)
    asked = request.tool_choice.demands and not capabilities.thinking_off
    if unsupported or asked or request.output_schema:
        request = replace(
            request,
            temperature=None if "temperature" in unsupported else request.temperature,
            top_p=None if "top_p" in unsupported else request.top_p,
            effort=None if request.effort_param in unsupported else request.effort,
            tool_choice=replace(request.tool_choice, forced=not asked),
            output_schema=request.output_schema
            and replace(request.output_schema, forced=not thinks),
        )
    fitted = CompatibleRequest(
        request,
        (*request.idle, *unsupported),
        clamped,
        (*request.adapted, *((request.choice_param,) if asked else ())),
    )
    if strict:
        _check(fitted)
    if not request.dropped:
        return fitted
    return replace(fitted, ignored=(*fitted.ignored, *request.dropped))


def _unsupported(request: TurnRequest, capabilities: Capabilities) -> Iterator[str]:
    """Yield the parameters that the request sets and the model does not support."""
    if request.temperature not in _DEFAULT and not capabilities.temperature:
        yield "temperature"
    if request.top_p not in _DEFAULT and not capabilities.top_p:
        yield "top_p"
    thinks_anyway = request.effort == "none" and not capabilities.thinking_off
    cannot_think = request.effort not in (None, "none") and not capabilities.reasoning_effort
    # A model cannot both think and be forced to call a function.
    thinks = request.effort not in (None, "none")
    wants_both = request.tool_choice.demands and capabilities.thinking_off and thinks
    if thinks_anyway or cannot_think or wants_both:
        yield request.effort_param


def _is_hot(request: TurnRequest) -> bool:
    return (request.temperature or 0) > 1


def _check(fitted: CompatibleRequest) -> None:
    """Raise InvalidRequest for the first parameter that would be changed."""
    for name in fitted.ignored:
        raise InvalidRequest(
            f"{name}: it would have no effect here, which STRICT_PARAMS does not allow; "
            "leave it out, or ask another model.",
            param=name,
            code="unsupported_parameter",
        )
    for name, most in fitted.clamped.items():
        raise InvalidRequest(
            f"{name}: it would be sent as {most}, the model's most, which STRICT_PARAMS does not "
            "allow.",
            param=name,
            code="unsupported_value",
        )
    for name in fitted.request.adapted:
        raise InvalidRequest(
            f"{name}: the model would get this schema in another form, which STRICT_PARAMS does "
            "not allow: it has anyOf, oneOf, allOf or $ref at its top, or numbers that a double "
            "does not hold.",
            param=name,
            code="unsupported_value",
        )
    for name in fitted.adapted:
        raise InvalidRequest(
            f"{name}: this model cannot be made to call a function, only asked to, which "
            "STRICT_PARAMS does not allow; ask another model.",
            param=name,
            code="unsupported_parameter",
        )
