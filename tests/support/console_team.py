"""A gateway with keys and background work, and the consoles of those who have the keys."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.console_client import ConsoleClient
from tests.support.key_files import add_keys
from tests.support.scripted_server import HOUR, ScriptedServer
from tests.support.server import eventually
from wrapper.auth import key_editor
from wrapper.services.events import Ended, Ending, Started, TextDelta, Used
from wrapper.services.spent import Spent, Usage
from wrapper.services.turn import Turn

CHAT = "/v1/chat/completions"


def play(turn: Turn) -> Iterator[Any]:
    """Say hello, or go on for an hour where the input says so."""
    text = "".join(str(part) for message in turn.messages for part in message.parts)
    yield from (Started("m"), TextDelta("Hello."))
    if "long" in text:
        yield HOUR
    usage, cost = Usage(input=3, output=2), 0.001
    yield from (Used({"m": Spent(usage, cost)}), Ended(Ending.DONE, usage, cost))


class ConsoleTeam:
    """A gateway with the keys of ann, bob and eve, an admin, who have signed in to the console.

    *limits* are those of keys by name. *script* answers turns.
    """

    def __init__(
        self,
        folder: Path,
        limits: Mapping[str, Mapping[str, Any]] = {},
        script: Callable[[Turn], Any] = play,
        **settings: Any,
    ):
        file = folder / "keys.toml"
        self.keys = add_keys(file, "ann", "bob", "eve", admin="eve")
        for name, limit in limits.items():
            key_editor.limit(file, name, dict(limit))
        paths = {name: str(folder / f"{name}") for name in ("files_dir", "jobs_db", "usage_db")}
        given = {"api_keys_file": str(file), **paths, **settings}
        self.server = ScriptedServer(script=script, **given)
        self.gateway = self.server.app.extensions["wrapper"]
        self.people = {name: ConsoleClient(self.server.app) for name in self.keys}
        for name, person in self.people.items():
            person.sign_in(self.keys[name])

    def ask(self, name: str, text: str = "Hi", request_id: str = "", **fields: Any) -> Any:
        """Return the answer to a message with the key of *name*."""
        headers = {"x-api-key": self.keys[name], "x-request-id": request_id}
        messages = [{"role": "user", "content": text}]
        return self.server.ask(headers, messages=messages, **fields)

    def send(self, name: str, path: str, body: Any) -> Any:
        """Return the JSON of the answer to a request with the key of *name*."""
        answer = self.server.post(body, path=path, headers={"x-api-key": self.keys[name]})
        assert answer.status_code == 200, answer.text
        return answer.json

    def upload(self, name: str, *texts: str, filename: str = "a.jsonl") -> str:
        """Store a file of requests that each say one of *texts*, and return its id."""
        lines = [
            {
                "custom_id": f"n{number}",
                "method": "POST",
                "url": CHAT,
                "body": {"messages": [{"role": "user", "content": text}]},
            }
            for number, text in enumerate(texts)
        ]
        content = "\n".join(map(json.dumps, lines)).encode()
        data = {"purpose": "batch", "file": (io.BytesIO(content), filename)}
        headers = {"x-api-key": self.keys[name]}
        answer: Any = self.server.client.post("/v1/files", data=data, headers=headers)
        assert answer.status_code == 200, answer.text
        return str(answer.json["id"])

    def batch(self, name: str, *texts: str, **fields: Any) -> str:
        """Begin a batch of these texts, and return its id."""
        file_id = self.upload(name, *texts)
        body = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h", **fields}
        return str(self.send(name, "/v1/batches", body)["id"])

    def respond(self, name: str, text: str) -> str:
        """Begin a response in the background, and return its id."""
        return str(self.send(name, "/v1/responses", {"input": text, "background": True})["id"])

    def wait(self, name: str, path: str, *statuses: str) -> Any:
        """Wait until what is at *path* has one of these statuses, and return it."""
        headers = {"x-api-key": self.keys[name]}

        def read() -> Any:
            return self.server.client.get(path, headers=headers).json

        assert eventually(lambda: read()["status"] in statuses), read()
        return read()

    def close(self) -> None:
        self.gateway.close()


@contextmanager
def console_team(folder: Path, **options: Any) -> Iterator[ConsoleTeam]:
    """Yield a team, whose gateway is closed after the context."""
    team = ConsoleTeam(folder, **options)
    try:
        yield team
    finally:
        team.close()
