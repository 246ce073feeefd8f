"""Apps for gunicorn: the gateway with a model that costs nothing, and a bare Flask app.

    gunicorn 'bench.own:gateway()'    the gateway, with an engine that plays what a message says
    gunicorn 'bench.own:bare()'       a Flask app with one view that returns a small JSON

The user message says what the engine plays: [[deltas N]], [[pause S]], or one word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from flask import Flask

from wrapper import create_app
from wrapper.services.events import Ended, Ending, Started, TextDelta
from wrapper.services.spent import Usage
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
    """Yield the steps that the last message of the turn asks for."""
    text = "".join(part for part in turn.messages[-1].parts if isinstance(part, str))
    deltas = int(_directive(text, "deltas") or 1)
    pause = float(_directive(text, "pause") or 0)
    yield Started(MODEL)
    for number in range(1, deltas + 1):
        if pause:
            yield pause
        yield TextDelta(f"w{number}" if number == 1 else f" w{number}")
    yield Ended(Ending.DONE, Usage(input=1, output=deltas), 0.0)


def _directive(text: str, name: str) -> str:
    match = re.search(rf"\[\[{name} ([\d.]+)\]\]", text)
    return match[1] if match else ""
