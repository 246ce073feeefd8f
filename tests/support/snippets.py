"""The console's snippets in files, with a gateway's address, and who runs which of them."""

from __future__ import annotations

from pathlib import Path

from tests.support.server import MODEL
from wrapper.console.snippets import FOLDER, connection, snippet

# Those that need nothing but what the gateway's own tests have. Of Cursor, only its requests.
RUN_LIVE = {"curl.sh", "hello_openai.py", "claude-code.sh", "cursor.txt"}
# Those that need a client's environment: which.
RUN_BY_CLIENTS = {
    "hello_openai.mjs": "node",
    "hello_langchain.py": "langchain",
    "hello_anthropic.py": "anthropic",
    "codex.toml": "codex",
    "codex.sh": "codex",
    "open-webui.sh": "open-webui",
}


def write_snippets(folder: Path, url: str, key: str = "unused") -> Path:
    """Write all snippets for the gateway at *url* into *folder*, and return it."""
    folder.mkdir()
    values = connection(url, key, MODEL)
    for path in FOLDER.iterdir():
        name = path.name.removesuffix(".txt")
        (folder / name).write_text(snippet(name, values))
    return folder
