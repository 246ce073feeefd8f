"""The Python in docs/extending.md, run from top to end."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support import cli
from tests.support.server import ROOT

PAGE = (ROOT / "docs" / "extending.md").read_text()


@pytest.fixture
def offered(tmp_path, monkeypatch):
    """A package with an engine without processes, which every Gateway() then uses."""
    package = tmp_path / "docs_engine-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: docs-engine\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[wrapper.engines]\nscripted = docs_engine:build\n")
    (tmp_path / "docs_engine.py").write_text(
        "from wrapper.testing import ScriptedEngine\n"
        "def build(settings):\n"
        "    return ScriptedEngine()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("WRAPPER_ENGINE", "scripted")
    monkeypatch.setenv("USAGE_DB", str(tmp_path / "usage.db"))


@pytest.fixture
def extended(offered):
    """The names that the page's Python defines."""
    names: dict[str, Any] = {"__name__": "shop"}
    code = "\n\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.S))
    exec(compile(code, "extending.md", "exec"), names)  # noqa: S102 - it is ours
    yield names
    for name in ("gateway", "customers", "remembering", "parrots"):
        names[name].close()


def test_extending(extended, capsys):
    """The page's app has the views, the chat, the signals, the callers and the two gateways."""
    shop = extended["app"].test_client()
    assert shop.get("/ai/v1/whoami").json == {"name": "local"}
    said = shop.post("/ai/v1/summaries", json={"text": "Much."})
    assert said.text.endswith("data: [DONE]\n\n")
    assert "/ai/v1/summaries" in shop.get("/ai/v1/openapi.json").json["paths"]
    assert extended["finished"][0] == ("local", "sonnet", 2, 0.001, "done")
    for_customers = extended["for_customers"].test_client()
    assert for_customers.get("/v1/models").status_code == 401
    assert for_customers.get("/v1/models", headers={"x-customer": "ada"}).status_code == 200


def test_parrot(extended):
    """The page's engine fulfils the contract."""
    extended["test_parrot"]()


def test_upstream(extended, upstream, monkeypatch):
    """The page's test of the real Claude Code passes."""
    monkeypatch.delenv("WRAPPER_ENGINE")
    monkeypatch.setenv("CLAUDE_CLI_PATH", cli.current())
    extended["test_answer"](upstream, monkeypatch)
