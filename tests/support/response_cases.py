"""Cases of the Responses API: each parameter and kind of tool, with its direct request."""

from __future__ import annotations

from typing import Any

from tests.live.test_fidelity import BUDGETS, NEWEST, OFFERED, SERIAL, as_answer, thinks
from tests.live.test_function_calls import ASKED, BASH, READ, WEATHER
from tests.live.test_message_shapes import text
from tests.live.test_parameters_upstream import CLAMPED, IGNORED
from tests.support.direct_response import ResponseCase
from tests.support.response_item_cases import ITEMS, say
from tests.unit.schemas.responses.test_response_parameters import ASKS
from wrapper.schemas.parameters import Kind
from wrapper.schemas.responses.parameters import PARAMETERS
from wrapper.schemas.responses.request import ENCRYPTED, HOSTED, SUMMARIES
from wrapper.schemas.responses.tools import OMITTED

ADAPTED = "x-adapted-params"


def plain(**sent: Any) -> ResponseCase:
    """Return the case of parameters that change nothing upstream."""
    return ResponseCase(sent)


PATCH = {"type": "custom", "name": "patch", "description": "Applies a patch."}
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: /x/"}
FUNCTIONS = [{"type": "function", **function} for function in (WEATHER, READ, BASH)]
SPACE = {"type": "namespace", "name": "files", "description": "Files.", "tools": [FUNCTIONS[1]]}
ONE_TEXT = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
}
PATCHES = {"name": "patch", "description": "Applies a patch.", "input_schema": ONE_TEXT}
SPACED = {**OFFERED[1], "name": "files__Read"}
CUSTOM = {"patch": {"type": "custom_tool_call", "name": "patch"}}
NAMESPACED = {"files__Read": {"name": "Read", "namespace": "files"}}
SEVERAL = f'[[first Let me see.]] {ASKED} [[tool Read]] [[tool Bash {{"a": [1]}}]] [[together]]'


def offers(asked, tools, offered, *, calls=None, told=None, kept=None) -> ResponseCase:
    """Return the case of *tools*, for which the model is *offered* functions."""
    sent = {"input": asked, "tools": tools}
    direct = {"messages": [("user", [text(asked)])], "tools": offered}
    repeated = {"tools": tools if kept is None else kept}
    return ResponseCase(sent, direct, told or {}, None, repeated, calls or {})


TOOLS: dict[str, list[ResponseCase]] = {
    "function": [offers(asked, FUNCTIONS, OFFERED) for asked in (SEVERAL, "[[say no]]", ASKED)],
    "custom": [
        offers('[[tool patch {"input": "a \\"b\\"\\nü"}]]', [PATCH], [PATCHES], calls=CUSTOM),
        offers(
            "[[say no]]",
            [{**PATCH, "format": GRAMMAR}],
            [
                {
                    **PATCHES,
                    "description": "Applies a patch.\n\n"
                    "Its input must follow this lark grammar:\nstart: /x/",
                }
            ],
            told={ADAPTED: "tools.0.format"},
        ),
    ],
    "namespace": [
        offers(
            "[[tool files__Read]]", [FUNCTIONS[0], SPACE], [OFFERED[0], SPACED], calls=NAMESPACED
        )
    ],
    **{
        kind: [
            offers(
                "[[say no]]",
                [{"type": kind}, FUNCTIONS[0]],
                OFFERED[:1],
                told={IGNORED: "tools.0"},
                kept=FUNCTIONS[:1],
            )
        ]
        for kind in OMITTED
    },
}

TRIP = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FORMAT = {"type": "json_schema", "name": "trip", "schema": TRIP}
FITS = '[[json {"city": "Zürich"}]]'
THINK = "[[think Let me see.]] [[redact Hm.]] [[say Yes.]]"
FORCED = {"type": "tool", "name": "Read"}


def choice(asked, sent, parallel=None, offered=OFFERED) -> ResponseCase:
    """Return the case of a tool_choice, with parallel_tool_calls."""
    direct = {"tools": offered, **({"tool_choice": sent} if sent else {})}
    more = {"tool_choice": asked, "parallel_tool_calls": parallel}
    return say("hello", direct, tools=FUNCTIONS, **more)


def chosen(*tools, mode):
    return {"type": "allowed_tools", "mode": mode, "tools": [*tools]}


def formatted(form, tool, **more) -> ResponseCase:
    """Return the case of a structured answer."""
    asked = {"input": FITS, "text": {"format": form}, **more}
    direct = {
        "messages": [("user", [text(FITS)])],
        "tools": [tool],
        "tool_choice": {"type": "tool", "name": tool["name"]},
    }
    return ResponseCase(asked, direct, answer=tool["name"], repeated={"text": asked["text"]})


def reasons(direct, *, told=None, **reasoning) -> ResponseCase:
    """Return the case of `reasoning`, in which the model thinks."""
    sent = {"input": THINK, "reasoning": reasoning}
    effort = {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")}
    messages = {"messages": [("user", [text(THINK)])], **direct}
    return ResponseCase(sent, messages, told or {}, repeated={"reasoning": effort})


NAMED = {"type": "function", "name": "Read"}
PATCHED = {"type": "custom", "name": "patch"}
HONOURED: dict[str, list[ResponseCase]] = {
    "model": [
        ResponseCase({"model": "claude-haiku-4-5"}, {"model": "claude-haiku-4-5"}),
        ResponseCase({"model": "sonnet"}, NEWEST),
    ],
    "input": [*ITEMS.values()],
    "instructions": [ResponseCase({"instructions": "Be kind."}, {"system": ["Be kind."]})],
    "stream": [plain(stream=True), plain(stream=False)],
    "max_output_tokens": [
        ResponseCase({"max_output_tokens": 7}, {"max_tokens": 7}),
        say("[[deltas 3]] [[stop max_tokens]]", {"max_tokens": 3}, max_output_tokens=3),
    ],
    "temperature": [
        *(ResponseCase({"temperature": t}, {"temperature": t}) for t in (0, 0.5, 1)),
        ResponseCase({"temperature": 1.2}, {"temperature": 1}, {CLAMPED: "temperature"}),
    ],
    "top_p": [
        ResponseCase({"top_p": 0.5}, {"top_p": 0.5}),
        plain(top_p=1),
    ],
    "reasoning": [
        *(reasons(thinks(BUDGETS["low"]), effort="low", summary=each) for each in SUMMARIES),
        reasons(thinks(BUDGETS["low"]), effort="low", generate_summary="auto"),
        *(reasons(thinks(budget), effort=effort) for effort, budget in BUDGETS.items()),
        reasons({}, effort="none"),
        reasons({}, mode="standard", context="auto"),
        reasons({}, context="all", told={IGNORED: "reasoning.context"}),
    ],
    "text": [
        plain(text={"format": {"type": "text"}}),
        formatted(FORMAT, as_answer("trip", TRIP)),
        formatted({"type": "json_object"}, as_answer("json_object", {"type": "object"})),
        ResponseCase(
            {"text": {"verbosity": "low"}},
            told={IGNORED: "text.verbosity"},
            repeated={"text": {"format": {"type": "text"}, "verbosity": "low"}},
        ),
    ],
    "tools": [case for cases in TOOLS.values() for case in cases],
    "tool_choice": [
        choice("auto", None),
        choice("none", {"type": "none"}),
        choice("required", {"type": "any"}),
        choice(NAMED, FORCED),
        choice(chosen(NAMED, mode="auto"), None, offered=OFFERED[1:2]),
        choice(chosen(NAMED, mode="required"), {"type": "any"}, offered=OFFERED[1:2]),
        ResponseCase(
            {"tools": [PATCH, SPACE], "tool_choice": PATCHED, "input": "hello"},
            {
                "messages": [("user", [text("hello")])],
                "tools": [PATCHES, SPACED],
                "tool_choice": {"type": "tool", "name": "patch"},
            },
            calls=CUSTOM,
        ),
        ResponseCase(
            {"tools": [SPACE], "tool_choice": {**NAMED, "namespace": "files"}, "input": "hello"},
            {
                "messages": [("user", [text("hello")])],
                "tools": [SPACED],
                "tool_choice": {"type": "tool", "name": "files__Read"},
            },
            calls=NAMESPACED,
        ),
    ],
    "parallel_tool_calls": [
        choice("auto", None, True),
        choice("auto", {"type": "auto", **SERIAL}, False),
        choice(NAMED, {**FORCED, **SERIAL}, False),
    ],
    "metadata": [plain(metadata={"a": "b"}), plain(metadata={})],
    "include": [
        ResponseCase(
            {
                "input": THINK,
                "include": [ENCRYPTED],
                "reasoning": {"effort": "low", "summary": "auto"},
            },
            {"messages": [("user", [text(THINK)])], **thinks(BUDGETS["low"])},
            repeated={"reasoning": {"effort": "low", "summary": "auto"}},
        ),
        plain(include=[*HOSTED]),
        ResponseCase({"include": [ENCRYPTED, "a.b"]}, told={IGNORED: "include.1"}),
    ],
    "store": [plain(store=True), plain(store=False)],
    "claude": [plain(claude={}), plain(claude={"profile": "plain", "show_tool_use": True})],
}
IDLE = {
    name: [ResponseCase({name: ASKS[name]}, told={IGNORED: name})]
    for name in PARAMETERS.of(Kind.IGNORED)
}
NEUTRAL = [plain(**{name: None for name in PARAMETERS if name not in ("model", "input")})]
ANSWERS = [
    say("[[deltas 3]] [[stop refusal]]"),
    say(
        '[[say Hi]] [[usage {"input_tokens": 7, "cache_read_input_tokens": 30, '
        '"cache_creation_input_tokens": 5}]]'
    ),
]
