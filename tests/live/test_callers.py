"""Keys: who is let in, what each may do, and how that changes while the gateway runs."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

from tests.support.server import MODEL, eventually
from tests.support.team import Team

CEILINGS: dict[str, dict[str, Any]] = {
    "alice": {},
    "bob": {},
    "models": {"models": ["haiku", "claude-opus-*"]},
    "plain": {"profile": "plain"},
    "tools": {"tools": ["Read", "Write"]},
    "rules": {"disallowed_tools": ["Bash(touch:*)"], "allowed_tools": ["Bash(python3:*)"]},
    "mode": {"permission_mode": "default"},
    "rounds": {"max_turns": 2},
    "requests": {"requests_per_minute": 2},
    "tokens": {"tokens_per_minute": 50},
    "few": {"concurrent_turns": 1},
}
OPEN = {"ALLOW_UNSANDBOXED_BASH": "true"}
TOUCH = '[[tool Bash {"command": "touch made.txt"}]]'
PYTHON = '[[tool Bash {"command": "python3 -c 1"}]]'
WRITE = '[[tool Write {"file_path": "made.txt", "content": "x"}]]'
FOUR_ROUNDS = "[[say end]] " + " ".join(
    f'[[tool Bash {{"command": "echo round-{number}"}}]]' for number in range(4)
)


@pytest.fixture(scope="module")
def _team(_servers, tmp_path_factory):
    return Team(_servers, tmp_path_factory.mktemp("team"), CEILINGS, POOL_SIZE_OTHER="2", **OPEN)


@pytest.fixture
def team(_team, upstream):
    """A gateway with a caller for each ceiling, and an upstream that starts clean."""
    return _team


def said(body):
    return body["choices"][0]["message"]["content"]


def refusal(answer, status=403):
    got, body = answer
    assert got == status, body
    return body["error"]


def test_who_is_let_in(team, upstream):
    """Each key lets its holder in; no key, a wrong one and a stolen hash let nobody in."""
    for name in ("alice", "bob"):
        with team.client(name) as client:
            asked = [{"role": "user", "content": f"[[say Hello, {name}]]"}]
            answer = client.chat.completions.create(model=MODEL, messages=asked)
        assert answer.choices[0].message.content == f"Hello, {name}"
    upstream.clear()
    stolen = hashlib.sha256(team.keys["alice"].encode()).hexdigest()
    assert stolen in team.file.read_text()
    for wrong in ("sk-wrong", stolen, stolen.upper(), f"sk-{stolen}"):
        client = openai.OpenAI(base_url=team.server.url, api_key=wrong, max_retries=0)
        with client, pytest.raises(openai.AuthenticationError):
            client.models.list()
    assert team.server.ask("hello")[0] == 401
    assert not upstream.requests


def test_secrets_are_nowhere(team):
    """No key and no hash stands in the log, or in what the commands tell."""
    team.ask("alice", "hello")
    assert eventually(lambda: "key=alice" in team.server.log())
    told = team.server.log() + team.command("keys", "list").stdout
    for key in team.keys.values():
        assert key not in told
        assert hashlib.sha256(key.encode()).hexdigest() not in told


def test_models(team, upstream):
    """A key's models run by all their names; another is refused, and is not listed."""
    assert team.ask("models", "hello", model="haiku")[0] == 200
    assert team.ask("models", "hello", model=upstream.requests[0].body["model"])[0] == 200
    upstream.clear()
    for model in (MODEL, "sonnet"):
        error = refusal(team.ask("models", "hello", model=model))
        assert (error["param"], error["code"]) == ("model", "permission_denied")
        assert "no more than haiku, claude-opus-*" in error["message"]
    assert not upstream.requests
    with team.client("models") as client:
        listed = {model.id for model in client.models.list()}
        with pytest.raises(openai.PermissionDeniedError):
            client.models.retrieve("sonnet")
    assert "haiku" in listed
    assert not any("sonnet" in name for name in listed)


def test_profile(team, upstream):
    """A plain key's requests have no tools, and it cannot ask for them."""
    assert team.ask("plain", "hello")[0] == 200
    assert not upstream.requests[0].body.get("tools")
    error = refusal(team.ask("plain", "hello", claude={"profile": "agent"}))
    assert error["param"] == "claude.profile"


def test_tools(team, upstream):
    """A tool that a key lacks is denied when the model tries it, and refused when asked for."""
    status, body = team.ask("tools", f"{WRITE} {TOUCH} [[result]]")
    assert (status, said(body)) == (200, "Permission to use Bash has been denied.")
    assert "File created successfully" in upstream.requests[1].raw.decode()
    error = refusal(team.ask("tools", "hello", claude={"allowed_tools": ["Read", "Bash"]}))
    assert error["param"] == "claude.allowed_tools"
    assert team.ask("tools", "hello", claude={"allowed_tools": ["Read"]})[0] == 200


def test_tools_of_a_request(team):
    """A request may give up tools of its own accord, for itself alone."""
    asked = f"{TOUCH} [[result]]"
    _, body = team.ask("alice", asked, claude={"allowed_tools": ["Read"]})
    assert said(body) == "Permission to use Bash has been denied."
    _, body = team.ask("alice", asked, claude={"disallowed_tools": ["Bash(touch:*)"]})
    assert "touch made.txt has been denied" in said(body)
    _, body = team.ask("alice", asked)
    assert "denied" not in said(body)


def test_rules(team):
    """A key's own rules deny what else would run, and allow what else would not."""
    _, body = team.ask("rules", f"{TOUCH} [[result]]")
    assert "touch made.txt has been denied" in said(body)
    _, body = team.ask("rules", f"{PYTHON} [[result]]")
    assert "approval" not in said(body)
    _, body = team.ask("alice", f"{PYTHON} [[result]]")
    assert said(body) == "This command requires approval"


def test_permission_mode(team):
    """A key's mode holds, a narrower one may be asked for, and a wider one is refused."""
    _, body = team.ask("mode", f"{WRITE} [[result]]")
    assert "you haven't granted it yet" in said(body)
    _, body = team.ask("alice", f"{WRITE} [[result]]")
    assert "File created successfully" in said(body)
    _, body = team.ask("alice", f"{WRITE} [[result]]", claude={"permission_mode": "dontAsk"})
    assert "don't ask mode" in said(body)
    error = refusal(team.ask("mode", "hello", claude={"permission_mode": "acceptEdits"}))
    assert error["param"] == "claude.permission_mode"
    wide = {"permission_mode": "bypassPermissions"}
    assert "CLAUDE_PERMISSION_MODE" in refusal(team.ask("alice", "hello", claude=wide))["message"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("name", "claude"), [("rounds", {}), ("alice", {"max_turns": 2})])
def test_rounds(team, upstream, stream, name, claude):
    """After its last round of tool use a turn ends, the model is not asked again, all is priced."""
    more = {"stream": stream, "claude": claude, "stream_options": {"include_usage": True}}
    with team.client(name) as client:
        if stream:
            chunks = list(
                client.chat.completions.create(
                    model=MODEL,
                    messages=[{"role": "user", "content": FOUR_ROUNDS}],
                    stream=True,
                    stream_options={"include_usage": True},
                    extra_body={"claude": claude},
                )
            )
            reason, usage = chunks[-2].choices[0].finish_reason, chunks[-1].usage
        else:
            answer = client.chat.completions.create(
                model=MODEL,
                messages=[{"role": "user", "content": FOUR_ROUNDS}],
                extra_body={"claude": claude},
            )
            reason, usage = answer.choices[0].finish_reason, answer.usage
    assert (reason, len(upstream.requests)) == ("length", 2), more
    assert usage.cost_usd > 0
    assert usage.completion_tokens == 6  # three pieces of arguments a round


def test_rounds_within(team, upstream):
    """A turn that needs no more rounds than it may take is left alone; more cannot be asked for."""
    asked = '[[tool Bash {"command": "echo a"}]] [[say end]]'
    status, body = team.ask("rounds", asked, claude={"max_turns": 2})
    assert (status, said(body), len(upstream.requests)) == (200, "end", 2)
    assert body["choices"][0]["finish_reason"] == "stop"
    error = refusal(team.ask("rounds", asked, claude={"max_turns": 3}))
    assert error["param"] == "claude.max_turns"


def test_requests_a_minute(team, upstream):
    """Requests over the rate get 429 with when to come back, and OpenAI's headers tell of it."""
    left = []
    for _ in range(2):
        status, headers, _ = team.post("requests", "hello", claude={"profile": "plain"})
        assert (status, headers["x-ratelimit-limit-requests"]) == (200, "2")
        left.append(headers["x-ratelimit-remaining-requests"])
        assert 0 < int(headers["x-ratelimit-reset-requests"].removesuffix("s")) <= 60
    assert left == ["1", "0"]
    with team.client("requests") as client, pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}])
    headers = caught.value.response.headers
    assert 0 < int(headers["retry-after"]) <= 60
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert caught.value.code == "rate_limit_exceeded"
    status, _, body = team.call("requests", "POST", "/v1/chat/completions", bytes(20 * 1024**2))
    assert (status, body["error"]["code"]) == (429, "rate_limit_exceeded")  # its body is not read
    assert len(upstream.requests) == 2
    _, headers, _ = team.post("alice", "hello")
    assert not [name for name in headers if name.startswith("x-ratelimit")]


def test_tokens_a_minute(team, upstream):
    """Tokens are the model's own; once they are used up the next request is refused."""
    asked = '[[say a b c]] [[usage {"input_tokens": 40}]]'
    left = []
    for _ in range(2):
        status, headers, body = team.post("tokens", asked, claude={"profile": "plain"})
        assert (status, body["usage"]["total_tokens"]) == (200, 43)
        left.append(headers["x-ratelimit-remaining-tokens"])
    assert left == ["7", "0"]
    status, headers, body = team.post("tokens", asked)
    assert (status, body["error"]["code"]) == (429, "rate_limit_exceeded")
    assert "50 tokens a minute" in body["error"]["message"]
    assert len(upstream.requests) == 2


def test_turns_at_once(team, upstream):
    """A key's second turn at once waits, and holds nobody up; what may never run is refused."""
    with ThreadPoolExecutor() as pool:
        first = pool.submit(team.ask, "few", "[[deltas 2]] [[stall 2]]")
        assert upstream.wait_for(bool)
        second = pool.submit(team.ask, "few", "hello")
        assert eventually(lambda: team.server.health()["turns"]["waiting"] == 1)
        assert team.ask("alice", "hello")[0] == 200
        assert not second.done()
        assert [first.result()[0], second.result()[0]] == [200, 200]
    assert refusal(team.ask("few", "hello", n=2))["param"] == "n"


def test_changes_take_effect_at_once(serve, tmp_path, upstream):
    """Keys come, go and get ceilings while the gateway runs; a broken file changes nothing."""
    team = Team(serve, tmp_path, {"alice": {}, "bob": {}}, POOL_SIZE_OTHER="0")
    team.keys["carol"] = team.command("keys", "new", "carol").stdout.strip()
    assert team.ask("carol", "hello")[0] == 200
    assert team.command("keys", "revoke", "alice").returncode == 0
    assert team.ask("alice", "hello")[0] == 401
    team.limit("bob", models=["haiku"])
    assert team.ask("bob", "hello")[0] == 403
    good = team.file.read_text()
    team.file.write_text("[keys.bob\n")
    assert team.ask("carol", "hello")[0] == 200
    health = team.server.health()
    assert (health["status"], health["keys"]["status"]) == ("degraded", "failing")
    assert "the log says why" in health["keys"]["error"]
    assert "is no TOML" in team.server.log()
    team.file.write_text(good.replace("[keys.carol]", "[keys.dora]"))
    assert team.server.health()["keys"] == {"status": "ok"}
    assert team.ask("bob", "hello")[0] == 403


@pytest.mark.parametrize("text", [None, "[keys.bob\n", "[keys.bob]\nsha256 = 5\n"])
def test_a_broken_file_does_not_start(serve, tmp_path, text):
    """At the start a file that is missing or broken is told with its mend, and nobody is let in."""
    file = tmp_path / "keys.toml"
    if text:
        file.write_text(text)
    server = serve(API_KEYS_FILE=str(file))
    assert server.ended() != 0
    assert "API_KEYS_FILE: " in server.log()
    assert "Traceback" not in server.log()


def test_exposed_with_a_file(serve, tmp_path):
    """With keys in a file the gateway serves other machines too, and only who has one."""
    team = Team(serve, tmp_path, {"alice": {}}, HOST="0.0.0.0", POOL_SIZE_OTHER="0")
    assert team.ask("alice", "hello")[0] == 200
    assert team.server.ask("hello")[0] == 401


def test_workspaces(serve, tmp_path, upstream):
    """With more than one key each works in a directory of its own, and in no other's."""
    shared = tmp_path / "work"
    shared.mkdir()
    team = Team(serve, tmp_path, {"alice": {}, "bob": {}}, CLAUDE_CWD=str(shared))
    status, _ = team.ask("alice", WRITE)
    assert status == 200
    assert (shared / "alice" / "made.txt").read_text() == "x"
    theirs = str(shared / "alice" / "made.txt")
    for tool in (
        f'Read {{"file_path": "{theirs}"}}',
        f'Bash {{"command": "cat {theirs}"}}',
        'Bash {"command": "cat ../alice/made.txt"}',
        f'Write {{"file_path": "{shared}/alice/new.txt", "content": "y"}}',
        f'Grep {{"pattern": "x", "path": "{shared}"}}',
        'Bash {"command": "ls .."}',
    ):
        _, body = team.ask("bob", f"[[tool {tool}]] [[result]]")
        assert "denied" in said(body), (tool, said(body))
    _, body = team.ask("bob", '[[tool Bash {"command": "pwd"}]] [[result]]')
    assert said(body) == str(shared / "bob")
    _, body = team.ask("alice", '[[tool Bash {"command": "cat made.txt"}]] [[result]]')
    assert said(body) == "x"
    assert sorted(path.name for path in shared.iterdir()) == ["alice", "bob"]
