"""Snippets: how each client connects to this gateway, as tests run it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "clients"


@dataclass(frozen=True)
class Step:
    """What to do with the snippet in *file*."""

    text: str
    file: str


@dataclass(frozen=True)
class Client:
    """A client and its steps, in their order, and a note on what to know about it."""

    name: str
    title: str
    steps: tuple[Step, ...]
    note: str = ""


CLIENTS = (
    Client("curl", "curl", (Step("In a shell:", "curl.sh"),)),
    Client(
        "claude-code",
        "Claude Code",
        (Step("In a shell, in the directory of your project:", "claude-code.sh"),),
    ),
    Client(
        "codex",
        "Codex",
        (
            Step("In the file ~/.codex/config.toml:", "codex.toml"),
            Step("Then, in a shell:", "codex.sh"),
        ),
    ),
    Client(
        "cursor",
        "Cursor",
        (Step("In Cursor's settings, under Models and there under API Keys:", "cursor.txt"),),
        "Cursor's own servers send its requests: they reach only a gateway on the public Internet, "
        "behind TLS. The override also holds for OpenAI's models in Cursor, and not for its "
        "completion of code. No test can run Cursor: tests send requests like Cursor's for chats "
        "with tools. Versions that send the items of the Responses API in place of messages get "
        "an error 400.",
    ),
    Client(
        "open-webui",
        "Open WebUI",
        (Step("In a shell, after pip install open-webui:", "open-webui.sh"),),
    ),
    Client(
        "langchain",
        "LangChain",
        (Step("In a file hello.py, after pip install langchain-openai:", "hello_langchain.py"),),
    ),
    Client(
        "python",
        "OpenAI for Python",
        (Step("In a file hello.py, after pip install openai:", "hello_openai.py"),),
    ),
    Client(
        "node",
        "OpenAI for Node",
        (Step("In a file hello.mjs, after npm install openai:", "hello_openai.mjs"),),
    ),
    Client(
        "anthropic",
        "Anthropic for Python",
        (Step("In a file hello.py, after pip install anthropic:", "hello_anthropic.py"),),
    ),
)


def snippet(file: str, values: Mapping[str, str]) -> str:
    """Return the snippet in *file* with these *values*; `connection` returns what it needs."""
    text = (FOLDER / f"{file}.txt").read_text("utf-8").rstrip()
    for name, value in values.items():
        text = text.replace("{{ " + name + " }}", value)
    return text


def connection(base_url: str, key: str, model: str) -> dict[str, str]:
    """Return the values of every snippet. Anthropic's clients add `/v1` to the URL themselves."""
    root_url = base_url.removesuffix("/v1")
    return {"base_url": base_url, "root_url": root_url, "key": key, "model": model}
