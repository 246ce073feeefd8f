"""The commands `keys delete-data` and `keys revoke --delete-data`."""

from __future__ import annotations

import pytest

from tests.support.scripted_server import ScriptedServer
from wrapper.auth import key_editor
from wrapper.auth.key_file import KeyFile
from wrapper.errors import Unavailable
from wrapper.services import key_data


class Console:
    """A gateway with a key for alice, whose stored response the commands can delete."""

    def __init__(self, folder):
        self.file = folder / "keys.toml"
        key = key_editor.add(self.file, "alice")
        paths = {name: str(folder / f"{name}.db") for name in ("usage_db", "jobs_db")}
        files = {"api_keys_file": str(self.file), "files_dir": str(folder / "files")}
        self.server = ScriptedServer(**files, **paths)
        headers = {"Authorization": f"Bearer {key}"}
        response = self.server.post({"input": "hello"}, path="/v1/responses", headers=headers)
        assert response.status_code == 200

    def run(self, *arguments, **options):
        runner = self.server.app.test_cli_runner()
        return runner.invoke(args=["gateway", "keys", *arguments], **options)


@pytest.fixture
def console(tmp_path, monkeypatch):
    monkeypatch.setattr(key_data, "QUIET_SECONDS", 0.0)
    monkeypatch.setenv("API_KEYS_FILE", str(tmp_path / "keys.toml"))
    console = Console(tmp_path)
    yield console
    console.server.app.extensions["wrapper"].close()


def test_delete_data(console):
    """It asks, prints how much it deletes, and says what it may miss."""
    refused = console.run("delete-data", "alice", input="n\n")
    assert (refused.exit_code, refused.stdout) == (1, "")
    result = console.run("delete-data", "alice", input="y\n")
    assert result.exit_code == 0, result.output
    assert "responses: 1\n" in result.stdout
    assert "requests: 1\n" in result.stdout
    assert "files: 0\n" in result.stdout
    assert "The key of alice is valid" in result.stderr
    assert "DELETE /v1/keys/alice/data" in result.stderr
    assert console.run("delete-data", "a b", "--yes").exit_code == 2


def test_revoke(console):
    """`revoke --delete-data` does both, without asking."""
    result = console.run("revoke", "alice", "--delete-data")
    assert result.exit_code == 0, result.output
    assert KeyFile(console.file).names() == ()
    assert "responses: 1\n" in result.stdout
    assert "is valid" not in result.stderr


def test_left(console, monkeypatch):
    """What is left is an error that says why, after what was deleted."""

    def fail(owner):
        raise Unavailable("FILES_DIR: it is away.")

    monkeypatch.setitem(console.server.app.extensions["wrapper"].key_data._stores, "files", fail)
    result = console.run("delete-data", "alice", "--yes")
    assert result.exit_code == 1
    assert "responses: 1\n" in result.stdout
    assert "  files: FILES_DIR: it is away.\n" in result.stderr
