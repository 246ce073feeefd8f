"""The request body of a turn that brings its own, without anything that Claude Code would add."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wrapper.services.catalog import capabilities_of
from wrapper.services.turn import Turn

Json = dict[str, Any]

# Claude Code sets these itself. With another model in its body, a request would count as one of
# the model that Claude Code knows of.
OWN = ("model", "stream")
EFFORT_LEVELS = ("low", "medium", "high", "xhigh", "max")
# Those that Claude Code changes for no model. It writes them itself, by its setting, and sends the
# beta of effort only then. The others it would lower for some models. For a model without levels it
# would write none, so there the body has the effort, and the API judges it.
COMMON_LEVELS = ("low", "medium", "high")
# Claude Code's own default differs from model to model. This is the API's.
DEFAULT_EFFORT = "high"


def body_of(turn: Turn, *, first_party: bool) -> Json:
    """Return the fields that replace those of Claude Code's own body: the turn's, and no others.

    What a field that is absent stands for is written out, or Claude Code would send its own.
    *first_party* says that the body goes to Anthropic's own API, and not to a cloud's.
    """
    body = {name: value for name, value in (turn.body or {}).items() if name not in OWN}
    config = body.get("output_config") or {}
    if config.get("effort") in COMMON_LEVELS and capabilities_of(turn.model).effort_levels:
        del body["output_config"]
        if rest := {name: value for name, value in config.items() if name != "effort"}:
            body["output_config"] = rest
    return {**_absent(turn, first_party), **body}


def effort_of(body: Mapping[str, Any]) -> str:
    """Return the effort level for Claude Code, which merges its own into a body without one."""
    effort = (body.get("output_config") or {}).get("effort")
    return effort if effort in EFFORT_LEVELS else DEFAULT_EFFORT


def _absent(turn: Turn, first_party: bool) -> Json:
    absent: Json = {"system": [], "tools": [], "metadata": {}}
    if not capabilities_of(turn.model).reasoning_effort:  # it cannot think, and takes no more
        return absent
    absent["thinking"] = {"type": "adaptive" if turn.thinking == "always" else "disabled"}
    if first_party:  # Claude Code sends it to no other API, and they may not know it
        absent["context_management"] = {"edits": []}
    return absent
