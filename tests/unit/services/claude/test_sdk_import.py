"""The SDK is imported by an engine that is started, and by nothing else."""

import subprocess
import sys
from threading import Event, Thread

import pytest

from tests.support.server import eventually
from tests.support.threads import no_thread
from wrapper.services.background.lifecycle import Lifecycle
from wrapper.services.claude.engine import ClaudeEngine
from wrapper.settings import Settings

pytestmark = pytest.mark.packages

BUILD = """
import sys
from wrapper import Settings, create_app
create_app(Settings())
sys.exit("claude_code_sdk" in sys.modules)
"""


def test_not_before_the_start(tmp_path):
    """Building the app does not import the SDK, which takes half a second."""
    command = [sys.executable, "-c", BUILD]
    assert subprocess.run(command, cwd=".", env={"HOME": str(tmp_path)}, timeout=50).returncode == 0


def test_second_start(tmp_path, monkeypatch):
    """An engine that could not start, as the machine has no thread, does so the next time."""
    settings = Settings(pool_size=0, pool_size_other=0, session_dir=str(tmp_path))
    engine = ClaudeEngine(settings, {"HOME": str(tmp_path), "ANTHROPIC_API_KEY": "sk-x"})
    with monkeypatch.context() as full:
        full.setattr(Thread, "start", no_thread)
        with pytest.raises(RuntimeError):
            engine.start()
    engine.start()
    try:
        assert eventually(lambda: engine.health()["status"] != "starting", 30.0)
    finally:
        engine.close()


def test_server_learns_of_the_import(tmp_path):
    """The server learns when all code is imported, and may then tidy up its memory."""
    settings = Settings(pool_size=0, pool_size_other=0, session_dir=str(tmp_path))
    lifecycle, loaded = Lifecycle(), Event()
    lifecycle.on_loaded = lambda: loaded.set() if "claude_code_sdk" in sys.modules else None
    engine = ClaudeEngine(settings, {"HOME": str(tmp_path), "ANTHROPIC_API_KEY": "sk-x"}, lifecycle)
    engine.start()
    try:
        assert loaded.wait(30.0)
    finally:
        engine.close()
