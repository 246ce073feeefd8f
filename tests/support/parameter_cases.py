"""Right and wrong values of every parameter of a chat completion request."""

from dataclasses import dataclass, field
from typing import Any

from tests.support.scripted_server import USER


@dataclass(frozen=True)
class Case:
    """Values of a parameter that are right and wrong, and what else they need."""

    right: tuple[Any, ...] = ()
    wrong: tuple[Any, ...] = ()
    beside: dict[str, Any] = field(default_factory=dict)


FUNCTION = {"type": "function", "function": {"name": "f"}}
TOOLS = {"tools": [FUNCTION]}
CASES = {
    "model": Case(("opus", "claude-sonnet-4-5"), ("", 7, [])),
    "messages": Case(([USER],), ([], "Hi", {})),
    "stream": Case((True, False), ("true", 1)),
    "stream_options": Case(({}, {"include_usage": True}), ("x", []), {"stream": True}),
    "max_tokens": Case((1, 64_000), (0, -1, 1.5, True, "9", 2**31)),
    "max_completion_tokens": Case((1, 64_000), (0, -1, 1.5, True, "9", 2**31)),
    "temperature": Case((0, 0.5, 1), (-0.1, 2.1, "1", True)),
    "top_p": Case((0, 0.5, 1), (-0.1, 1.1, "1", True)),
    "stop": Case(("x", ["a", "b"]), ("", [""], ["a"] * 5, 7)),
    "n": Case((1, 8), (0, 9, 1.0, True, "2")),
    "reasoning_effort": Case(
        ("none", "minimal", "low", "medium", "high", "xhigh", "max"), ("huge", 3, True)
    ),
    "claude": Case(({}, {"profile": "plain"}), ("plain", {"profil": "plain"})),
    "tools": Case(([FUNCTION], []), ([{"type": "f"}], {}, "x")),
    "tool_choice": Case(("none", "auto"), ("", {"type": "function"}, {"type": "x"}), TOOLS),
    "parallel_tool_calls": Case((True, False), ("no", 0), TOOLS),
    "functions": Case(([{"name": "f"}], []), ([{"name": ""}], {})),
    "function_call": Case(("none", "auto"), ({"name": "g"}, 1), {"functions": [{"name": "f"}]}),
    "response_format": Case(({"type": "text"},), ({}, "text", {"type": "json_schema"})),
    "logprobs": Case(wrong=(True, 0, "false")),
    "top_logprobs": Case(wrong=(1, 20, False)),
    "logit_bias": Case(wrong=({"1": 2}, [], 0)),
    "modalities": Case(wrong=(["text", "audio"], ["audio"], [], "text")),
    "audio": Case(wrong=({"voice": "alloy"}, {})),
    "web_search_options": Case(wrong=({}, {"search_context_size": "low"})),
    "session_id": Case(
        ("s", "a b", "ä?#%", "x" * 128, "..."),
        ("", "x" * 129, "a/b", "a\nb", "\x9f", ".", "..", "stats", 7, ["s"]),
    ),
    "presence_penalty": Case((-2, 0.1, 2), (-2.1, 2.1, "0", False)),
    "frequency_penalty": Case((-2, 0.1, 2), (-2.1, 2.1, "0", False)),
    "seed": Case((0, -1, 2**70), (0.5, "1", True)),
    "verbosity": Case(("low", "high"), ("loud", 1)),
    "prediction": Case(({"type": "content", "content": "x"},), ("x", [])),
    "user": Case(("u", ""), (5, ["u"])),
    "safety_identifier": Case(("s",), (5,)),
    "metadata": Case(({"a": "b"},), ([], {"a": 1}, {str(i): "v" for i in range(17)})),
    "store": Case((True,), ("yes", 1)),
    "service_tier": Case(("flex", "priority"), (False, 1)),
    "prompt_cache_key": Case(("k",), (5,)),
    "prompt_cache_options": Case(({"mode": "x"},), ([],)),
    "prompt_cache_retention": Case(("24h",), (24,)),
    "moderation": Case(({"model": "m"},), ("m",)),
    "system": Case(
        ("Be brief.", [{"type": "text", "text": "a"}]),
        (5, {}, [{"type": "text"}], ["a"], [{"type": "file", "file": {"file_data": "a"}}]),
    ),
    "thinking": Case(
        (
            *({"type": kind} for kind in ("enabled", "disabled", "adaptive")),
            {"type": "enabled", "budget_tokens": 10_000},
        ),
        (True, {}, {"type": "on"}, *({"type": "enabled", "budget_tokens": n} for n in (0, "9"))),
    ),
    "stop_sequences": Case((["x"], ["a", "b"]), ("x", [""], ["a"] * 5, 7)),
    "top_k": Case((1, 40), (0.5, "1", True)),
    "cache_control": Case(({"type": "ephemeral"},), ("ephemeral", [])),
}
