"""A gateway whose callers each have a key, with limits of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import tomlkit

from tests.support.server import MODEL, ROOT, Server
from wrapper.auth import key_editor


class KeyedGateway:
    """A gateway with a key file. `keys` are the secrets by name, *ceilings* the limits by name."""

    def __init__(
        self,
        start: Callable[..., Server],
        folder: Path,
        ceilings: dict[str, dict[str, Any]],
        **settings: str,
    ):
        self.file = folder / "keys.toml"
        self.keys = {name: key_editor.add(self.file, name) for name in ceilings}
        for name, given in ceilings.items():
            self.limit(name, **given)
        self.server = start(API_KEYS_FILE=str(self.file), **settings).wait()

    def limit(self, name: str, **ceilings: Any) -> None:
        """Write limits into the key file, as an operator would."""
        document = tomlkit.parse(self.file.read_text())
        document["keys"][name].update(ceilings)
        fresh = self.file.with_suffix(".new")
        fresh.write_text(tomlkit.dumps(document))
        fresh.replace(self.file)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command that edits keys. The gateway may be running."""
        environment = {"PATH": "/usr/bin:/bin", "API_KEYS_FILE": str(self.file), "HOME": "/"}
        return subprocess.run(
            [sys.executable, "-m", "flask", "--app", str(ROOT / "wsgi"), "gateway", *arguments],
            env={**environment, "PYTHONPATH": str(ROOT)},
            cwd=self.file.parent,
            capture_output=True,
            text=True,
        )

    def header(self, name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[name]}"}

    def ask(self, name: str, text: str, **more: Any) -> Any:
        return self.server.ask(text, headers=self.header(name), **more)

    def call(self, name: str, method: str, path: str, body: Any = None) -> Any:
        """Return status, headers and parsed body of a request with the key of this name."""
        status, headers, data = self.server.call(method, path, body, self.header(name))
        return status, headers, json.loads(data)

    def post(self, name: str, text: str, **more: Any) -> Any:
        messages = [{"role": "user", "content": text}]
        body = {"model": MODEL, "messages": messages, **more}
        return self.call(name, "POST", "/v1/chat/completions", body)

    def client(self, name: str) -> openai.OpenAI:
        return openai.OpenAI(base_url=self.server.url, api_key=self.keys[name], max_retries=0)

    def usage(self, name: str, query: str = "") -> Any:
        status, _, body = self.call(name, "GET", f"/v1/usage{query}")
        assert status == 200, body
        return body
