"""What processes can see, do and reach: no more than the answer needs."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import pytest

from tests.support import cli
from tests.support.found_files import files_in
from tests.support.server import command_line, eventually
from wrapper.settings.claude_tools import ALL_TOOLS

pytestmark = pytest.mark.clis
PROFILES = ("plain", "agent")
WEATHER = {"name": "weather", "parameters": {"type": "object", "properties": {}}}
EMAIL, ACCOUNT = "someone@example.com", "6f1e2d3c-aaaa-bbbb-cccc-0123456789ab"


def environ_of(pid):
    pairs = Path("/proc", str(pid), "environ").read_text().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if pair)


def test_environment_is_an_allow_list(serve):
    """Processes get the variables they need and those in CLAUDE_ENV_PASS, and no other secret."""
    server = serve(
        API_KEY="gateway-secret",
        DATABASE_URL="other-secret",
        MY_TOOL_TOKEN="passed",
        CLAUDE_ENV_PASS="MY_TOOL_*",
        HTTPS_PROXY="http://127.0.0.1:9",
        NO_PROXY="127.0.0.1",
    ).wait()
    assert server.claudes()
    for pid in server.claudes():
        environ = environ_of(pid)
        assert "gateway-secret" not in environ.values()
        assert "DATABASE_URL" not in environ
        assert environ["MY_TOOL_TOKEN"] == "passed"
        assert environ["HTTPS_PROXY"] == "http://127.0.0.1:9"
        assert environ["ANTHROPIC_API_KEY"] == "sk-test-0123456789"
        assert "secret" not in command_line(pid)
        assert "sk-test" not in command_line(pid)


def test_no_secret_is_logged(serve):
    """At debug level the log has neither the gateway's key nor the provider's."""
    server = serve(API_KEY="gateway-secret", LOG_LEVEL="debug").wait()
    server.ask("[[error 401]]", headers={"Authorization": "Bearer gateway-secret"})
    server.ask("hello", headers={"Authorization": "Bearer wrong-secret"})
    assert "secret" not in server.log()
    assert "sk-test" not in server.log()


@pytest.fixture(scope="module")
def logged_in(_servers, tmp_path_factory):
    """A gateway whose Claude Code has its own login, with e-mail address and account."""
    home = tmp_path_factory.mktemp("home-of-somebody")
    (home / ".claude").mkdir()
    expires = int(time.time() * 1000) + 3_600_000
    login = {
        "accessToken": "sk-ant-oat01-test-access",
        "refreshToken": "sk-ant-ort01-test-refresh",
        "expiresAt": expires,
        "scopes": ["user:inference", "user:profile"],
        "subscriptionType": "max",
    }
    (home / ".claude" / ".credentials.json").write_text(json.dumps({"claudeAiOauth": login}))
    account = {"accountUuid": ACCOUNT, "emailAddress": EMAIL, "organizationUuid": ACCOUNT}
    (home / ".claude.json").write_text(json.dumps({"oauthAccount": account}))
    return home, _servers(ANTHROPIC_API_KEY="", HOME=str(home), POOL_SIZE_OTHER="2").wait()


@pytest.mark.parametrize("profile", PROFILES)
def test_nothing_personal_goes_upstream(logged_in, upstream, profile):
    """With a CLI login no e-mail address, account id or home path is in an upstream body."""
    home, server = logged_in
    status, _ = server.ask("hello", claude={"profile": profile})
    assert status == 200
    (request,) = upstream.requests
    assert request.headers["Authorization"] == "Bearer sk-ant-oat01-test-access"
    raw = request.raw.decode()
    assert not [personal for personal in (EMAIL, ACCOUNT, str(home)) if personal in raw]


def test_length_with_a_cli_login(logged_in, upstream):
    """With a CLI login an answer ends at max_tokens, too, though the CLI must be interrupted."""
    _, server = logged_in
    # A second request, which Claude Code may begin before it is interrupted, is not answered soon.
    asked = "[[deltas 4]] [[stall 2]] [[stop max_tokens]]"
    _, body = server.ask(asked, max_tokens=4, claude={"profile": "plain"})
    choice = body["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("length", "w1 w2 w3 w4")
    assert body["usage"]["completion_tokens"] == 4
    assert len(upstream.requests) <= 2


def tool_result(upstream):
    """Return the tool's result that the model got, and whether the tool failed."""
    blocks = upstream.requests[-1].body["messages"][-1]["content"]
    (result,) = [block for block in blocks if block["type"] == "tool_result"]
    return json.dumps(result["content"]), result.get("is_error", False)


def use(server, name, **arguments):
    status, body = server.ask(f"[[tool {name} {json.dumps(arguments)}]]")
    assert status == 200, body


def test_default_tools(gateway, upstream):
    """An agent has the default tools and no others; the plain profile has none."""
    gateway.ask("hello", claude={"profile": "agent"})
    gateway.ask("hello", claude={"profile": "plain"})
    agent, plain = ({t["name"] for t in r.body["tools"]} for r in upstream.requests)
    assert agent == {"Read", "Write", "Edit", "Bash", "Glob", "Grep", "WebFetch", "WebSearch"}
    assert plain == set()


@pytest.mark.parametrize(("tools", "expected"), [("Read, Grep", {"Read", "Grep"}), ("none", set())])
def test_chosen_tools(serve, upstream, tools, expected):
    """CLAUDE_TOOLS is the whole list of an agent's tools."""
    serve(CLAUDE_TOOLS=tools, POOL_SIZE_OTHER="0").wait().ask("hello")
    assert {tool["name"] for tool in upstream.requests[0].body["tools"]} == expected


def test_all_tools(serve, upstream):
    """CLAUDE_TOOLS=default is all of Claude Code's tools, whose names the settings know."""
    serve(CLAUDE_TOOLS="default", POOL_SIZE_OTHER="0").wait().ask("hello")
    offered = {tool["name"] for tool in upstream.requests[0].body["tools"]}
    assert {"Read", "Agent"} <= offered <= set(ALL_TOOLS)


def test_rules_deny(serve, upstream):
    """CLAUDE_DISALLOWED_TOOLS denies in Claude Code's rule syntax."""
    server = serve(CLAUDE_DISALLOWED_TOOLS="Bash(ls:*)", POOL_SIZE_OTHER="0").wait()
    use(server, "Bash", command="ls -la")
    output, failed = tool_result(upstream)
    assert failed
    assert "denied" in output


def test_rules_allow(serve, upstream):
    """CLAUDE_ALLOWED_TOOLS allows what the permission mode would deny."""
    server = serve(
        CLAUDE_ALLOWED_TOOLS="Bash(hostid:*)",
        ALLOW_UNSANDBOXED_BASH="true",
        CLAUDE_PERMISSION_MODE="default",
        POOL_SIZE_OTHER="0",
    ).wait()
    use(server, "Bash", command="hostid")
    output, failed = tool_result(upstream)
    assert not failed, output


@pytest.mark.parametrize(("mode", "written"), [("acceptEdits", True), ("default", False)])
def test_permission_mode(serve, upstream, tmp_path, mode, written):
    """CLAUDE_PERMISSION_MODE decides whether an agent may write in its directory."""
    server = serve(
        CLAUDE_PERMISSION_MODE=mode, CLAUDE_CWD=str(tmp_path), POOL_SIZE_OTHER="0"
    ).wait()
    use(server, "Write", file_path=str(tmp_path / "note"), content="hello")
    assert (tmp_path / "note").exists() is written


def test_agents_work_in_an_empty_directory(gateway, upstream):
    """Without CLAUDE_CWD an agent works in an empty directory, removed after the turn."""
    use(gateway, "Bash", command="pwd; ls -A | wc -l")
    output, failed = tool_result(upstream)
    assert not failed
    assert "/work\\n0" in output
    folder = Path(json.loads(output).split("\n")[0])
    assert eventually(lambda: not folder.exists(), 25)


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("ListAgents", {}),
        ("SendMessage", {"to": "*", "message": "do as I say"}),
        ("Task", {"description": "d", "prompt": "p", "subagent_type": "general-purpose"}),
        ("CronCreate", {"cron": "* * * * *", "prompt": "wake up"}),
        ("mcp__anything__call", {}),
    ],
)
def test_no_tool_reaches_another_process(gateway, upstream, tool, arguments):
    """Tools that list, address or schedule other agents do not exist."""
    use(gateway, tool, **arguments)
    output, failed = tool_result(upstream)
    assert failed
    assert "No such tool" in output
    assert gateway.at_rest()["sockets"] == 0


@pytest.mark.parametrize(
    "command",
    [
        "ls {tmp}",
        "ls {tmp}/*/*",
        "cat {tmp}/*/lock",
        "cat {tmp}/*/*/config/.claude.json",
        "ls /proc/{pid}/root",
        "cat /proc/{pid}/environ",
        "cat {home}/secret",
        "echo planted > {tmp}/planted",
        "kill -9 {pid}",
    ],
)
def test_bash_does_not_reach_other_processes(gateway, upstream, command):
    """Commands that look at other processes or their directories are denied."""
    (gateway.folder / "home" / "secret").write_text("the secret")
    pid = gateway.claudes()[-1]
    places = {"tmp": gateway.folder / "tmp", "home": gateway.folder / "home", "pid": pid}
    use(gateway, "Bash", command=command.format(**places))
    output, failed = tool_result(upstream)
    assert failed, output
    assert not (gateway.folder / "tmp" / "planted").exists()
    assert "the secret" not in output


@pytest.mark.parametrize("tool", ["Read", "Write", "Glob"])
def test_files_elsewhere_are_out_of_reach(gateway, upstream, tool):
    """File tools stay in the agent's directory."""
    secret = gateway.folder / "home" / "secret"
    secret.write_text("the secret")
    arguments = {
        "Read": {"file_path": str(secret)},
        "Write": {"file_path": str(secret), "content": "overwritten"},
        "Glob": {"pattern": "*", "path": str(secret.parent)},
    }
    use(gateway, tool, **arguments[tool])
    output, failed = tool_result(upstream)
    assert failed, output
    assert secret.read_text() == "the secret"


def test_no_instructions_are_left_for_others(serve, upstream, tmp_path):
    """Memory, CLAUDE.md, hooks and servers in a shared workspace do not reach later turns."""
    server = serve(CLAUDE_CWD=str(tmp_path), POOL_SIZE="1", POOL_SIZE_OTHER="0").wait()
    mark = tmp_path / "hooked"
    hook = {"hooks": [{"type": "command", "command": f"touch {mark}"}]}
    planted = {
        "CLAUDE.md": "PLANTED instruction",
        "CLAUDE.local.md": "PLANTED instruction",
        ".claude/CLAUDE.md": "PLANTED instruction",
        ".claude/rules/rule.md": "PLANTED instruction",
        ".claude/settings.json": json.dumps(
            {"hooks": {"SessionStart": [hook], "UserPromptSubmit": [hook], "Stop": [hook]}}
        ),
        ".mcp.json": json.dumps(
            {"mcpServers": {"planted": {"command": "touch", "args": [str(mark)]}}}
        ),
        ".claude/agents/planted.md": "---\nname: planted\ndescription: PLANTED\n---\nPLANTED",
        ".claude/commands/planted.md": "PLANTED",
    }
    for name, text in planted.items():
        use(server, "Write", file_path=str(tmp_path / name), content=text)
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)  # whether or not the tool was allowed to
    for folder in [tmp_path, server.folder / "home"]:
        memory = folder / ".claude" / "projects" / str(tmp_path).replace("/", "-") / "memory"
        memory.mkdir(parents=True)
        (memory / "MEMORY.md").write_text("PLANTED memory")
    server.at_rest()
    upstream.clear()
    for _ in range(2):  # the first process was booted before, the second is booted after
        assert server.ask("hello")[0] == 200
        server.at_rest()
    assert "PLANTED" not in "".join(request.raw.decode() for request in upstream.requests)
    assert not mark.exists()


@pytest.mark.parametrize("sources", ["", "project"])
def test_setting_sources(serve, upstream, tmp_path, sources):
    """Claude Code's settings files apply only if CLAUDE_SETTING_SOURCES names them."""
    (tmp_path / ".claude").mkdir()
    rules = {"permissions": {"deny": ["Write"]}}
    (tmp_path / ".claude" / "settings.json").write_text(json.dumps(rules))
    server = serve(
        CLAUDE_CWD=str(tmp_path),
        CLAUDE_SETTING_SOURCES=sources,
        CLAUDE_TOOLS="Write",
        POOL_SIZE_OTHER="0",
    ).wait()
    server.ask(f"[[tool Write {json.dumps({'file_path': f'{tmp_path}/note', 'content': 'x'})}]]")
    assert (tmp_path / "note").exists() is (sources == "")


def test_one_turn_knows_nothing_of_another(gateway, upstream):
    """One caller's text is in no later request."""
    gateway.ask("The password is swordfish.")
    gateway.ask("hello")
    assert "swordfish" not in upstream.requests[1].raw.decode()


def test_processes_leave_nothing_in_home(gateway):
    """Claude Code writes nothing to the home directory of the gateway's user."""
    gateway.ask("hello")
    gateway.ask("[[tool weather {}]]", tools=[{"type": "function", "function": WEATHER}])
    gateway.at_rest()
    home = gateway.folder / "home"
    own = home / ".local/state/claude-code-gateway"  # the gateway's, not Claude Code's
    files = {path for path in files_in(home) if path.is_file() and own not in path.parents}
    assert files <= {home / "secret"}


def test_a_process_with_a_socket_is_refused(serve, tmp_path):
    """A CLI that opens a socket stops the start, with a message that says what to do."""
    script = tmp_path / "claude"
    opened = "unset CLAUDE_CODE_HARBOR_KITE CLAUDE_CODE_SIMPLE"
    script.write_text(f'#!/bin/sh\n{opened}\nexec {cli.current()} "$@"\n')
    script.chmod(0o755)
    # A socket's path must be short, and pytest's directories are too long.
    with tempfile.TemporaryDirectory() as short:
        server = serve(CLAUDE_CLI_PATH=str(script), TMPDIR=short)
        assert server.ended() == 3
        assert not list(Path(short).iterdir())
    assert "opened a socket" in server.log()
    assert "pip install 'claude-code-gateway[claude]'" in server.log()
