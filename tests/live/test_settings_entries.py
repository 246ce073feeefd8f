"""Wrong settings: every way to start the gateway refuses them, with the same lines."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = 60.0
ENTRIES = {
    "gunicorn": ("-m", "gunicorn", "-c", str(ROOT / "gunicorn.conf.py"), "wsgi:app"),
    "gunicorn, from a package": (
        "-m",
        "gunicorn",
        "-c",
        "python:claude_code_gateway.gunicorn_conf",
        "wsgi:app",
    ),
    "another server": ("-m", "gunicorn", "-b", "127.0.0.1:0", "wsgi:app"),
    "claude-code-gateway": ("-m", "claude_code_gateway"),
    "claude-code-gateway settings": ("-m", "claude_code_gateway", "settings"),
    "python -m wrapper": ("-m", "wrapper"),
    "the program's doctor": ("-m", "wrapper", "doctor"),
    "the program's settings": ("-m", "wrapper", "settings"),
    "flask run": ("-m", "flask", "--app", "wsgi", "run", "--port", "0"),
    "flask gateway settings": ("-m", "flask", "--app", "wsgi", "gateway", "settings"),
    "doctor": ("-m", "flask", "--app", "wsgi", "gateway", "doctor"),
    "an app": ("-c", "import wrapper; wrapper.Gateway()"),
}
# Those of each kind: a server, the program, another framework's command, and an app's own code.
SOME = ("gunicorn", "claude-code-gateway", "flask run", "an app")
some_entries = pytest.mark.parametrize("refused", SOME, indirect=True)
# Servers print a traceback where an app fails to load, as an app does whose code does.
WITH_TRACEBACK = ("another server", "an app")


@pytest.fixture(params=ENTRIES)
def refused(request, tmp_path):
    """Return a function that starts the gateway, which must be refused, and returns its output."""

    def start(**variables: str) -> str:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PYTHONPATH": str(ROOT),
            **variables,
        }
        command = (sys.executable, *ENTRIES[request.param])
        process = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
        )
        assert process.returncode != 0
        if request.param not in WITH_TRACEBACK:
            assert "Traceback" not in process.stdout
        return process.stdout

    return start


def test_all_at_once(refused, tmp_path):
    """Mistakes from everywhere come together, each with its value and source, without secrets."""
    path = tmp_path / ".env"
    path.write_text("POOL_SIZE=-1\n\nCLAUDE_TOOLS=read,bash\nREDIS_URL=x://me:hush-hush@h:1/0\n")
    output = refused(HOST="0.0.0.0", LOG_LEVEL="loud", API_KEYS_FILE=str(tmp_path / "none.toml"))
    for line in (
        f"must be greater than or equal to 0 (POOL_SIZE=-1 from {path} line 1)",
        f"did you mean Read,Bash? (CLAUDE_TOOLS=read,bash from {path} line 3)",
        "must be one of debug, info, warning, error (LOG_LEVEL=loud from the environment)",
        f"{tmp_path}/none.toml does not exist",
        f"(REDIS_URL=x://********@h:1/0 from {path} line 4)",
    ):
        assert line in output
    assert "hush-hush" not in output


@some_entries
def test_broken_file(refused, tmp_path):
    """With an unclosed quote nothing starts without its API_KEY; file and line are named."""
    path = tmp_path / ".env"
    path.write_text('PORT=0\nAPI_KEY="hush-hush\n')
    output = refused()
    assert f"{path} line 2: the quote of API_KEY is not closed" in output
    assert "hush-hush" not in output


@pytest.mark.parametrize("refused", SOME[:1], indirect=True)
def test_directory(refused, tmp_path):
    """A directory in the file's place is refused."""
    (tmp_path / ".env").mkdir()
    assert f"{tmp_path / '.env'}: is not a regular file" in refused()
