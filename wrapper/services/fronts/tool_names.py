"""The names of a request's tools: the model's API knows functions alone, in one namespace."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

LONGEST_NAME = 64
_DIGEST = 8
# The property that holds the input of a custom tool.
INPUT = "input"


@dataclass(frozen=True)
class ToolName:
    """A tool as the client knows it."""

    name: str
    kind: Literal["function", "custom"] = "function"
    namespace: str = ""

    @property
    def joined(self) -> str:
        """Return the name of the function that stands for it."""
        name = f"{self.namespace}__{self.name}" if self.namespace else self.name
        if len(name) <= LONGEST_NAME:
            return name
        digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST]
        return f"{name[: LONGEST_NAME - _DIGEST - 1]}_{digest}"


ToolNames = Mapping[str, ToolName]


def custom_arguments(text: str) -> str:
    """Return the arguments of the function that stands for a custom tool with this input."""
    return json.dumps({INPUT: text}, ensure_ascii=False)


def custom_input(arguments: str) -> str:
    """Return the input of a custom tool; *arguments* that hold none are the input themselves."""
    try:
        text = json.loads(arguments, strict=False)[INPUT]
        text = text if isinstance(text, str) else json.dumps(text, ensure_ascii=False)
    except (ValueError, TypeError, KeyError, RecursionError):
        return arguments
    return without_surrogates(text)


def without_surrogates(text: str) -> str:
    """Return *text* with "?" for each lone surrogate, which JSON can escape and UTF-8 lacks."""
    return text.encode(errors="replace").decode()
