"""The gateway's own: apps under gunicorn in which the model costs nothing, and a bare one beside.

    gunicorn 'bench.own:gateway()'    the gateway, with an engine that plays what it is asked for
    gunicorn 'bench.own:bare()'       a Flask app with one view that returns a small JSON

What the engine plays stands in the request's user message: [[deltas N]], [[pause S]], or a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from flask import Flask

from wrapper import create_app
from wrapper.services.events import Ended, Ending, Started, TextDelta, Usage
from wrapper.services.turn import Turn
from wrapper.testing.engine import ScriptedEngine, Step

MODEL = "scripted-model"


def gateway() -> Flask:
    return create_app(engine=ScriptedEngine(play))


def bare() -> Flask:
    app = Flask("bare", static_folder=None)

    @app.post("/v1/chat/completions")
    def answer() -> dict[str, object]:
        message = {"role": "assistant", "content": "Hello."}
        return {"id": "x", "choices": [{"index": 0, "message": message}]}

    return app


def play(turn: Turn) -> Iterator[Step]:
    """Yield the steps of the turn that its last message asks for."""
    text = "".join(part for part in turn.messages[-1].parts if isinstance(part, str))
    deltas = int(_said(text, "deltas") or 1)
    pause = float(_said(text, "pause") or 0)
    yield Started(MODEL)
    for number in range(1, deltas + 1):
        if pause:
            yield pause
        yield TextDelta(f"w{number}" if number == 1 else f" w{number}")
    yield Ended(Ending.DONE, Usage(input=1, output=deltas), 0.0)


def _said(text: str, name: str) -> str:
    found = re.search(rf"\[\[{name} ([\d.]+)\]\]", text)
    return found[1] if found else ""
