"""The documentation: everything it names exists, and its numbers are the code's."""

from __future__ import annotations

import errno
import json
import os
import re
from dataclasses import fields
from pathlib import Path

import pytest

from wrapper import create_app, errors, host, settings
from wrapper.errors import ApiError
from wrapper.routes import sse
from wrapper.routes.sse import HEARTBEAT_SECONDS
from wrapper.schemas.chat.claude_options import ClaudeSchema
from wrapper.schemas.health import HealthSchema
from wrapper.settings import Settings
from wrapper.testing import ScriptedEngine
from wrapper.testing.demo import FIRST_LINE

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.md")])
EACH = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
TEXTS = {page.name: page.read_text() for page in PAGES}
RESULTS = (ROOT / "bench" / "results.md").read_text()
LINK = re.compile(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)")
# A path has a directory, or a suffix that only files of this project have.
PATH = re.compile(r"`((?:[\w.-]+/)+[\w.-]*|[\w.-]+\.(?:py|conf|md|txt))`")
# Files of other programs, and directories that are created on demand.
OF_OTHERS = {"CLAUDE.md", "SKILL.md", "conftest.py", "tests/clients/.envs", ".envs/clis"}
OF_OTHERS |= {"build/site", "build/screenshots"}
VARIABLE = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
# Variables of other programs (Claude Code, its providers, openai, OpenTelemetry, make, glibc), and
# a JSON key.
FOREIGN = re.compile(
    r"ANTHROPIC_|AWS_|OTEL_|CLAUDE_CODE_(USE|SKIP|OAUTH|DISABLE|ATTRIBUTION|ENABLE)_|GOOGLE_|CLOUD_ML_|VERTEX_|SSL_CERT_|NODE_|MY_"
    r"|OPENAI_BASE_URL|OPENAI_API_KEY|REDISCLI_AUTH|SOAK_SECONDS|INVALID_JSON|CLI_VERSIONS|CLI_ARGUMENTS"
    r"|MALLOC_ARENA_MAX|LD_BIND_NOW|BUN_"
)
# The README's measurements, in its order.
MEASURED = (
    ("One at a time", "gateway"),
    ("One at a time", "claude -p, plain"),
    ("8 at once", "gateway"),
    ("8 at once", "claude -p, plain"),
    ("Later turns of a session", "session, agent, turn 2"),
)


def cells(page, head):
    """Return the rows of the table with *head* in *page*, each as a list of its cells."""
    lines = TEXTS[page].split(f"{head}\n")[1].split("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in lines]


def medians():
    """Return the milliseconds of MEASURED in bench/results.md."""
    row = r"^## {}.*?^\| `{}` \| (\d+) "
    return [re.findall(row.format(*names), RESULTS, re.M | re.S)[0] for names in MEASURED]


def shape(value):
    """Return the names in a JSON *value*, without its other values."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in value.items()}
    return [shape(part) for part in value] if isinstance(value, list) else None


def anchors(page):
    """Return the names of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


@EACH
def test_links(page):
    """A page links to files and headings that exist."""
    for name, anchor in LINK.findall(page.read_text()):
        target = (page.parent / name) if name else page
        assert target.exists(), name
        assert not anchor or anchor in anchors(target), (name, anchor)


@EACH
def test_paths(page):
    """A file that a page names exists: in the root, beside the page, in tests/ or examples/."""
    named = set(PATH.findall(page.read_text())) - OF_OTHERS
    folders = (ROOT, page.parent, ROOT / "tests", ROOT / "examples")
    paths = [name for name in named if "/" not in name or (ROOT / name.split("/")[0]).exists()]
    assert [name for name in paths if not any((folder / name).exists() for folder in folders)] == []


@EACH
def test_settings(page):
    """Every setting that a page names exists."""
    known = {row.name.upper() for row in fields(Settings)}
    named = {name for name in VARIABLE.findall(page.read_text()) if not FOREIGN.match(name)}
    assert named <= known


@EACH
def test_targets(page):
    """Every `make` target that a page names is in the Makefile."""
    named = re.findall(r"(?:^\$ |`)make ([\w-]+)", page.read_text(), re.M)
    rules = re.findall(r"^([\w-]+):.*##", (ROOT / "Makefile").read_text(), re.M)
    assert set(named) <= set(rules)


def test_foreign_names_are_no_settings():
    """No setting of the gateway matches the pattern of other programs' variables."""
    names = {row.name.upper() for row in fields(Settings)}
    assert not [name for name in names if FOREIGN.match(name)]


@pytest.mark.parametrize("row", cells("capacity.md", "| memory | cores | turns at once |"))
def test_sizes(row, monkeypatch):
    """The table of sizes says how many turns the gateway runs at once."""
    gib, cores, turns = (int(cell.split()[0]) for cell in row)
    monkeypatch.setattr(host, "memory", lambda: gib * 1024**3)
    monkeypatch.setattr(host, "cores", lambda: cores)
    assert Settings().max_concurrent_turns == turns


def test_size_formula():
    """The formula for sizes has the code's numbers."""
    mib = 1024**2
    process, own = settings.PROCESS_BYTES // mib, settings.GATEWAY_BYTES // mib
    text = TEXTS["capacity.md"]
    assert f"(memory - {own} MiB) ÷ {process} MiB - POOL_SIZE - POOL_SIZE_OTHER" in text
    assert f"at most {settings.TURNS_PER_CORE} for each core" in text


def test_errors():
    """The table of errors has every error, with its status, type and code."""
    kinds: list[type[ApiError]] = [ApiError]
    kinds += [kind for kind in vars(errors).values() if isinstance(kind, type) and kind != ApiError]
    expected = {(str(k.status), k.type, k.code or "null") for k in kinds if issubclass(k, ApiError)}
    rows = cells("api.md", "| status | type | code | what to do |")
    listed = {(row[0], row[1].strip("`"), re.split("`?, or", row[2])[0].strip("`")) for row in rows}
    assert listed == expected


def test_routes():
    """The table of routes has the routes of the OpenAPI document, and no others."""
    client = create_app(Settings(), engine=ScriptedEngine()).test_client()
    document = json.loads(client.get("/openapi.json").data)
    expected = {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method in methods
        if method in ("get", "post", "put", "delete")
    }
    rows = cells("api.md", "| route | what |")
    assert {route for row in rows for route in re.findall("`(.+?)`", row[0])} == expected


def test_claude_options():
    """The table of options in `claude` has each."""
    listed = {row[0].strip("`") for row in cells("api.md", "| option in `claude` | meaning |")}
    assert listed == set(ClaudeSchema().fields)


def test_streams():
    """The page says after which silence a stream sends which comment."""
    text = TEXTS["api.md"]
    assert HEARTBEAT_SECONDS == 10
    assert "After ten seconds of silence the gateway sends a comment, `: ping`." in text
    assert sse.PING == b": ping\n\n"


def test_measured():
    """The README's times and date are those of bench/results.md."""
    why = TEXTS["README.md"].split("## Why")[1].split("\n- ")[1]
    day = re.findall(r"\d{4}-\d\d-\d\d", RESULTS)[0]
    assert re.findall(r"\d{4}-\d\d-\d\d", why) == [day]
    assert re.findall(r"(\d+) ms", why) == medians()


# The numbers of the table in capacity.md, as bench/results.md writes them.
CAPACITY = (
    r"at (\S+) s of\s+CPU for a boot and a turn",
    r"profile plain: (\S+) turns a\s+second",
    r"out of the (\S+) that the cores",
    r"; (\S+) on recycled ones",
    r"MiB resident: .* it is (\S+)",
    r"MiB more for each request that waits: .* it is (\S+)",
    r"messages: (\S+) MiB",
    r"microseconds of CPU a streamed chunk: .* it is (\S+)",
    r"seconds to /health among 64 of each bad client: .* it is (\S+)",
    r"seconds until nothing of a killed gateway is left: .* it is (\S+)",
)


def test_capacity():
    """The table of capacity has the numbers of bench/results.md."""
    measured = [re.findall(pattern, RESULTS)[0] for pattern in CAPACITY]
    rows = [row[1] for row in cells("capacity.md", "| what | measured |")]
    assert [number for row in rows for number in re.findall(r"\d[\d.]*\d|\d", row)] == measured


def test_compared_times():
    """The comparison with `claude -p` has the times of bench/results.md."""
    rows = cells("comparison.md", "| | `claude -p` | the gateway |")
    times = [re.findall(r"\d+(?= ms)", " ".join(row)) for row in rows if "first token" in row[0]]
    gateway, claude, gateway_8, claude_8, _ = medians()
    assert times == [[claude, gateway], [claude_8, gateway_8]]


def test_quoted_messages():
    """Each message that the page of troubleshooting quotes is in the code."""
    quotes = {
        " ".join(quote.split())
        for quote in re.findall("“(.+?)”", TEXTS["troubleshooting.md"], re.S)
    }
    code = "".join(path.read_text() for path in sorted((ROOT / "wrapper").rglob("*.py")))
    # Constants in messages, and literals that continue on the next line.
    for name, value in {"{SETTING}": "CLAUDE_CLI_PATH", "{PACKAGE}": "claude-agent-sdk"}.items():
        code = code.replace(name, value)
    text = re.sub(r"\"\s*\n\s*f?\"", "", code)
    of_the_system = {"quotes", os.strerror(errno.EADDRINUSE)}
    assert sorted(quote for quote in quotes - of_the_system if quote not in text) == []


@pytest.mark.parametrize("page", ["README.md", "operations.md", "faq.md"])
def test_terms(page):
    """Where a page says how to log in, it says whom a subscription's login may serve."""
    text = " ".join(TEXTS[page].split())
    terms = "Anthropic's terms restrict the login of a subscription to Claude Code and claude.ai"
    assert terms in text
    assert re.search(r"(API key|`ANTHROPIC_API_KEY`\)?), (Amazon )?Bedrock or Vertex AI", text)


def test_sample_answer():
    """The README's sample has the fields of an answer."""
    (sample,) = re.findall(r"```json\n(.*?)```", TEXTS["README.md"], re.S)
    app = create_app(Settings(), engine=ScriptedEngine())
    body = {"messages": [{"role": "user", "content": "Say hello."}]}
    answer = app.test_client().post("/v1/chat/completions", json=body)
    assert shape(json.loads(sample)) == shape(answer.json)


def test_sample_health():
    """The sample of /health follows the schema, and has all that every gateway reports."""
    (sample,) = re.findall(r"```json\n(.*?)```", TEXTS["operations.md"], re.S)
    health = json.loads(sample)
    assert HealthSchema().validate(health) == {}
    client = create_app(Settings(), engine=ScriptedEngine()).test_client()
    assert health.keys() >= json.loads(client.get("/health").data).keys()


def test_demo_picture():
    """The README's picture begins with the demo's first line (`python -m bench.demo_picture`)."""
    assert FIRST_LINE in (ROOT / "docs" / "demo.svg").read_text()


def test_pages_are_found():
    """The README links every page in docs/, and is short."""
    linked = set(re.findall(r"\(docs/([\w-]+\.md)\)", TEXTS["README.md"]))
    assert linked == {name for name in os.listdir(ROOT / "docs") if name.endswith(".md")}
    assert len(TEXTS["README.md"].splitlines()) <= 250


def test_codex():
    """The documentation and the example, which a test runs, configure Codex alike."""
    blocks = [re.findall(r"```toml.*?```", TEXTS[n], re.S) for n in ("responses.md", "codex.md")]
    assert len(blocks[0]) == 1
    assert blocks[0] == blocks[1]
