"""The SDK is imported by an engine that is started, and by nothing else."""

import subprocess
import sys

import pytest

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
