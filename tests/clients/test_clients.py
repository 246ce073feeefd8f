"""Clients that people use, each in an environment of its own, against a live gateway.

`make test-clients` makes the environments. Each client's own interpreter runs its suite, and each
case of the suite is a subtest here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support import cli
from tests.support.server import MODEL, ROOT
from tests.support.snippets import RUN_BY_CLIENTS, write_snippets

HERE = Path(__file__).parent
SUITES = HERE / "suites"
# A model that always thinks, so it cannot be forced to call a function.
THINKS = "claude-sonnet-5-5"
MOST_SKIPPED = 0.1


@dataclass(frozen=True)
class Client:
    """An environment and its suite. `skipped` has cases that cannot run here, with reasons."""

    environment: str
    suite: str
    skipped: dict[str, str] = field(default_factory=dict)


CLIENTS = {
    "openai 3": Client("openai-3", "openai_python.py"),
    "openai 1": Client("openai-1", "openai_python.py"),
    "openai 3, responses": Client("openai-3", "openai_responses.py"),
    "openai 2, responses": Client("openai-2", "openai_responses.py"),
    "openai 1, responses": Client("openai-1", "openai_responses.py"),
    "langchain": Client(
        "langchain",
        "langchain_standard.py",
        {
            "test_anthropic_inputs": "Anthropic's own blocks are no part of OpenAI's API",
            "test_audio_inputs": "Claude takes no audio",
            "test_image_tool_message": "OpenAI's API takes texts alone as a function's result",
            "test_pdf_tool_message": "OpenAI's API takes texts alone as a function's result",
        },
    ),
    "langchain agents": Client("langchain", "langchain_agent.py"),
    "langgraph": Client("langchain", "langgraph_agents.py"),
    "openai agents": Client("agents", "agents_sdk.py"),
    "autogen": Client("autogen", "autogen_agents.py"),
    "lm-eval": Client("lm-eval", "lm_eval_tasks.py"),
    "open webui": Client("open-webui", "open_webui_server.py"),
    "pydantic-ai": Client("pydantic-ai", "pydantic_ai_agent.py"),
    "litellm": Client("litellm", "litellm_sdk.py"),
    "semantic kernel": Client("semantic-kernel", "semantic_kernel_agent.py"),
    "smolagents": Client("smolagents", "smolagents_agent.py"),
    "strands": Client("strands", "strands_agent.py"),
    "openai for node": Client("node", "openai_node.mjs"),
    "openai for node, previous": Client("node-previous", "openai_node.mjs"),
    "anthropic": Client("anthropic", "anthropic_python.py"),
    "anthropic for node": Client("node", "anthropic_node.mjs"),
    "chat anthropic": Client("anthropic", "anthropic_langchain.py"),
    "vercel ai": Client("node", "vercel_ai.mjs"),
    "vercel ai, previous": Client("node-previous", "vercel_ai.mjs"),
    "codex": Client("codex", "codex.mjs"),
}


@dataclass(frozen=True)
class Case:
    """The result of a case. `fault` and `skipped` are None or the reason."""

    name: str
    fault: str | None
    skipped: str | None


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
def test_client(gateway, client, tmp_path, subtests):
    """Every case of the client's suite passes, except those listed as skipped."""
    done, report = run(client, gateway.url, tmp_path)
    cases = list(read(report))
    assert cases, done.stdout + done.stderr
    for case in cases:
        with subtests.test(case.name):
            if case.fault is not None:
                pytest.fail(case.fault, pytrace=False)
            if case.skipped is not None:
                assert case.name in client.skipped, f"not listed as skipped: {case.skipped}"
                pytest.skip(f"{case.name}: {client.skipped[case.name]}")
    if not any(case.fault for case in cases):
        assert done.returncode == 0, done.stdout + done.stderr
    skipped = {case.name for case in cases if case.skipped is not None}
    assert skipped == set(client.skipped), "what is listed as skipped is not what was skipped"
    assert len(skipped) <= MOST_SKIPPED * len(cases)


EXAMPLES = {
    "node.mjs": ("node", "You said: Say hello.\n"),
    "with_langchain.py": ("langchain", "You said: Write one line about the sea.\n"),
    "with_anthropic.py": (
        "anthropic",
        "> get_temperature {'city': 'Oslo'}\nIt is 4 °C in Oslo.\n",
    ),
}


@pytest.mark.parametrize(("name", "environment", "shown"), [(n, *e) for n, e in EXAMPLES.items()])
def test_example(gateway, tmp_path, name, environment, shown):
    """The example prints the streamed answer."""
    client_folder = find_environment(environment)
    node = name.endswith(".mjs")
    # Node looks for packages beside the file that imports them.
    program = shutil.copy(ROOT / "examples" / name, client_folder if node else tmp_path)
    done = subprocess.run(
        ["node" if node else str(client_folder / "bin" / "python"), program],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **_urls(gateway.url)},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.returncode) == (shown, 0), done.stderr


@pytest.mark.parametrize("name", ["hello_openai.mjs", "hello_langchain.py", "hello_anthropic.py"])
def test_snippet(gateway, tmp_path, name):
    """The console's snippet prints the answer. The suites of other clients run theirs."""
    program = write_snippets(tmp_path / "snippets", gateway.url) / name
    client_folder = find_environment(RUN_BY_CLIENTS[name])
    node = name.endswith(".mjs")
    if node:  # it looks for packages beside the file that imports them
        program = Path(shutil.copy(program, client_folder))
    done = subprocess.run(
        ["node" if node else str(client_folder / "bin" / "python"), program],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.returncode) == ("You said: Say hello.\n", 0), done.stderr


def find_environment(environment: str) -> Path:
    """Return the directory of a client's environment."""
    folder = HERE / ".envs" / environment
    if not (folder / "installed").exists():
        cli.missing(f"environment {environment}: make test-clients")
    return folder


def run(client: Client, url: str, folder: Path) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Run the client's suite; return the finished process and the path of its JUnit report."""
    environment = find_environment(client.environment)
    report = folder / "report.xml"
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        **_urls(url),
        "OPENAI_API_KEY": "unused",
        "ANTHROPIC_API_KEY": "unused",
        "CLIENT_MODEL": MODEL,
        "CLIENT_SNIPPETS": str(write_snippets(folder / "snippets", url)),
        "CLIENT_THINKS": THINKS,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # otherwise litellm downloads it
    }
    command = _node if client.suite.endswith(".mjs") else _python
    done = subprocess.run(
        command(environment, client.suite, report),
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=280,
    )
    return done, report


def _urls(url: str) -> dict[str, str]:
    """Return the gateway's *url* as each library expects it."""
    return {"OPENAI_BASE_URL": url, "ANTHROPIC_BASE_URL": url.removesuffix("/v1")}


def _python(environment: Path, suite: str, report: Path) -> list[str]:
    interpreter = str(environment / "bin" / "python")
    options = ["-q", "--tb=short", "-p", "no:cacheprovider", f"--junitxml={report}"]
    return [interpreter, "-m", "pytest", *options, str(SUITES / suite)]


def _node(environment: Path, suite: str, report: Path) -> list[str]:
    # Node looks for packages beside the file.
    copy = shutil.copy(SUITES / suite, environment)
    reporter = ["--test-reporter=junit", f"--test-reporter-destination={report}"]
    return ["node", "--test", *reporter, str(copy)]


def read(report: Path) -> Iterator[Case]:
    """Yield the cases of a report, none if there is no report."""
    if not report.exists():
        return
    for case in ElementTree.parse(report).iter("testcase"):
        faults = [node for node in case if node.tag in ("failure", "error")]
        skip = case.find("skipped")
        yield Case(
            name=case.get("name", ""),
            fault=f"{faults[0].get('message')}\n{faults[0].text}" if faults else None,
            skipped=skip.get("message", "") if skip is not None else None,
        )
