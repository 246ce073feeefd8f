"""Keys: who may ask, what each key allows, and how changes take effect while the gateway runs."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

from tests.support.keyed_gateway import KeyedGateway
from tests.support.server import MODEL, eventually

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
def _keyed(_servers, tmp_path_factory):
    return KeyedGateway(
        _servers, tmp_path_factory.mktemp("keyed"), CEILINGS, POOL_SIZE_OTHER="2", **OPEN
    )


@pytest.fixture
def keyed(_keyed, upstream):
    """A gateway with a key for each kind of limit, and an upstream without requests."""
    return _keyed


def text_of(body):
    return body["choices"][0]["message"]["content"]


def refusal(answer, status=403):
    got, body = answer
    assert got == status, body
    return body["error"]


def test_who_is_let_in(keyed, upstream):
    """Each key is accepted. No key, a wrong key and a key's hash are not."""
    for name in ("alice", "bob"):
        with keyed.client(name) as client:
            asked = [{"role": "user", "content": f"[[say Hello, {name}]]"}]
            answer = client.chat.completions.create(model=MODEL, messages=asked)
        assert answer.choices[0].message.content == f"Hello, {name}"
    upstream.clear()
    stolen = hashlib.sha256(keyed.keys["alice"].encode()).hexdigest()
    assert stolen in keyed.file.read_text()
    for wrong in ("sk-wrong", stolen, stolen.upper(), f"sk-{stolen}"):
        client = openai.OpenAI(base_url=keyed.server.url, api_key=wrong, max_retries=0)
        with client, pytest.raises(openai.AuthenticationError):
            client.models.list()
    assert keyed.server.ask("hello")[0] == 401
    assert not upstream.requests


def test_secrets_are_nowhere(keyed):
    """No key and no hash is in the log or in the output of commands."""
    keyed.ask("alice", "hello")
    assert eventually(lambda: "key=alice" in keyed.server.log())
    told = keyed.server.log() + keyed.command("keys", "list").stdout
    for key in keyed.keys.values():
        assert key not in told
        assert hashlib.sha256(key.encode()).hexdigest() not in told


def test_models(keyed, upstream):
    """All names of a key's models work. Other models are refused and not listed."""
    assert keyed.ask("models", "hello", model="haiku")[0] == 200
    assert keyed.ask("models", "hello", model=upstream.requests[0].body["model"])[0] == 200
    upstream.clear()
    for model in (MODEL, "sonnet"):
        error = refusal(keyed.ask("models", "hello", model=model))
        assert (error["param"], error["code"]) == ("model", "permission_denied")
        assert "no more than haiku, claude-opus-*" in error["message"]
    assert not upstream.requests
    with keyed.client("models") as client:
        listed = {model.id for model in client.models.list()}
        with pytest.raises(openai.PermissionDeniedError):
            client.models.retrieve("sonnet")
    assert "haiku" in listed
    assert not any("sonnet" in name for name in listed)


def test_profile(keyed, upstream):
    """Requests of a plain key have no tools and cannot ask for them."""
    assert keyed.ask("plain", "hello")[0] == 200
    assert not upstream.requests[0].body.get("tools")
    error = refusal(keyed.ask("plain", "hello", claude={"profile": "agent"}))
    assert error["param"] == "claude.profile"


def test_tools(keyed, upstream):
    """A tool that a key lacks is denied to the model, and refused to requests that name it."""
    status, body = keyed.ask("tools", f"{WRITE} {TOUCH} [[result]]")
    assert (status, text_of(body)) == (200, "Permission to use Bash has been denied.")
    assert "File created successfully" in upstream.requests[1].raw.decode()
    error = refusal(keyed.ask("tools", "hello", claude={"allowed_tools": ["Read", "Bash"]}))
    assert error["param"] == "claude.allowed_tools"
    assert keyed.ask("tools", "hello", claude={"allowed_tools": ["Read"]})[0] == 200


def test_tools_of_a_request(keyed):
    """A request may give up tools for itself."""
    asked = f"{TOUCH} [[result]]"
    _, body = keyed.ask("alice", asked, claude={"allowed_tools": ["Read"]})
    assert text_of(body) == "Permission to use Bash has been denied."
    _, body = keyed.ask("alice", asked, claude={"disallowed_tools": ["Bash(touch:*)"]})
    assert "touch made.txt has been denied" in text_of(body)
    _, body = keyed.ask("alice", asked)
    assert "denied" not in text_of(body)


def test_rules(keyed):
    """A key's rules deny commands that would run, and allow ones that would not."""
    _, body = keyed.ask("rules", f"{TOUCH} [[result]]")
    assert "touch made.txt has been denied" in text_of(body)
    _, body = keyed.ask("rules", f"{PYTHON} [[result]]")
    assert "approval" not in text_of(body)
    _, body = keyed.ask("alice", f"{PYTHON} [[result]]")
    assert "This command requires approval" in text_of(body)


def test_permission_mode(keyed):
    """A key's mode applies; a request may ask for a narrower one, not for a wider one."""
    _, body = keyed.ask("mode", f"{WRITE} [[result]]")
    assert "Write was denied" in text_of(body)
    _, body = keyed.ask("alice", f"{WRITE} [[result]]")
    assert "File created successfully" in text_of(body)
    _, body = keyed.ask("alice", f"{WRITE} [[result]]", claude={"permission_mode": "dontAsk"})
    assert "don't ask mode" in text_of(body)
    error = refusal(keyed.ask("mode", "hello", claude={"permission_mode": "acceptEdits"}))
    assert error["param"] == "claude.permission_mode"
    wide = {"permission_mode": "bypassPermissions"}
    assert "CLAUDE_PERMISSION_MODE" in refusal(keyed.ask("alice", "hello", claude=wide))["message"]


@pytest.mark.parametrize(
    ("stream", "name", "claude"), [(False, "rounds", {}), (True, "alice", {"max_turns": 2})]
)
def test_rounds(keyed, upstream, stream, name, claude):
    """After the last allowed round of tool use a turn ends, and its whole cost is known."""
    more = {"stream": stream, "claude": claude, "stream_options": {"include_usage": True}}
    with keyed.client(name) as client:
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
    assert usage.completion_tokens == 6  # three deltas of arguments a round


def test_rounds_within(keyed, upstream):
    """A turn within its rounds is not changed, and a request cannot ask for more rounds."""
    asked = '[[tool Bash {"command": "echo a"}]] [[say end]]'
    status, body = keyed.ask("rounds", asked, claude={"max_turns": 2})
    assert (status, text_of(body), len(upstream.requests)) == (200, "end", 2)
    assert body["choices"][0]["finish_reason"] == "stop"
    error = refusal(keyed.ask("rounds", asked, claude={"max_turns": 3}))
    assert error["param"] == "claude.max_turns"


def test_requests_a_minute(keyed, upstream):
    """Requests over the rate get a 429 with Retry-After, and OpenAI's headers tell the rate."""
    left = []
    for _ in range(2):
        status, headers, _ = keyed.post("requests", "hello", claude={"profile": "plain"})
        assert (status, headers["x-ratelimit-limit-requests"]) == (200, "2")
        left.append(headers["x-ratelimit-remaining-requests"])
        assert 0 < int(headers["x-ratelimit-reset-requests"].removesuffix("s")) <= 60
    assert left == ["1", "0"]
    with keyed.client("requests") as client, pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}])
    headers = caught.value.response.headers
    assert 0 < int(headers["retry-after"]) <= 60
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert caught.value.code == "rate_limit_exceeded"
    status, _, body = keyed.call("requests", "POST", "/v1/chat/completions", bytes(20 * 1024**2))
    assert (status, body["error"]["code"]) == (429, "rate_limit_exceeded")  # its body is not read
    assert len(upstream.requests) == 2
    _, headers, _ = keyed.post("alice", "hello")
    assert not [name for name in headers if name.startswith("x-ratelimit")]


def test_tokens_a_minute(keyed, upstream):
    """The rate counts the model's tokens, and once they are used up the next request is refused."""
    asked = '[[say a b c]] [[usage {"input_tokens": 40}]]'
    left = []
    for _ in range(2):
        status, headers, body = keyed.post("tokens", asked, claude={"profile": "plain"})
        assert (status, body["usage"]["total_tokens"]) == (200, 43)
        left.append(headers["x-ratelimit-remaining-tokens"])
    assert left == ["7", "0"]
    status, headers, body = keyed.post("tokens", asked)
    assert (status, body["error"]["code"]) == (429, "rate_limit_exceeded")
    assert "50 tokens a minute" in body["error"]["message"]
    assert len(upstream.requests) == 2


def test_turns_at_once(keyed, upstream):
    """A key's second turn waits without delaying others; one that can never run is refused."""
    with ThreadPoolExecutor() as pool:
        first = pool.submit(keyed.ask, "few", "[[deltas 2]] [[stall 60]]")
        assert upstream.wait_for(bool)
        second = pool.submit(keyed.ask, "few", "hello")
        assert eventually(lambda: keyed.server.health()["turns"]["waiting"] == 1)
        assert keyed.ask("alice", "hello")[0] == 200
        assert not second.done()
        upstream.release()
        assert [first.result()[0], second.result()[0]] == [200, 200]
    assert refusal(keyed.ask("few", "hello", n=2))["param"] == "n"


def test_changes_take_effect_at_once(serve, tmp_path, upstream):
    """Keys and limits can change while the gateway runs; a broken file changes nothing."""
    keyed = KeyedGateway(serve, tmp_path, {"alice": {}, "bob": {}}, POOL_SIZE_OTHER="0")
    keyed.keys["carol"] = keyed.command("keys", "new", "carol").stdout.strip()
    assert keyed.ask("carol", "hello")[0] == 200
    assert keyed.command("keys", "revoke", "alice").returncode == 0
    assert keyed.ask("alice", "hello")[0] == 401
    keyed.limit("bob", models=["haiku"])
    assert keyed.ask("bob", "hello")[0] == 403
    good = keyed.file.read_text()
    keyed.file.write_text("[keys.bob\n")
    assert keyed.ask("carol", "hello")[0] == 200
    health = keyed.server.health()
    assert (health["status"], health["keys"]["status"]) == ("degraded", "failing")
    assert "the log says why" in health["keys"]["error"]
    assert "is not valid TOML" in keyed.server.log()
    keyed.file.write_text(good.replace("[keys.carol]", "[keys.dora]"))
    assert keyed.server.health()["keys"] == {"status": "ok"}
    assert keyed.ask("bob", "hello")[0] == 403


@pytest.mark.parametrize("text", [None, "[keys.bob\n", "[keys.bob]\nsha256 = 5\n"])
def test_a_broken_file_does_not_start(serve, tmp_path, text):
    """A missing or broken key file stops the start, with a message that says what to do."""
    file = tmp_path / "keys.toml"
    if text:
        file.write_text(text)
    server = serve(API_KEYS_FILE=str(file))
    assert server.ended() != 0
    assert "API_KEYS_FILE: " in server.log()
    assert "Traceback" not in server.log()


def test_exposed_with_a_file(serve, tmp_path):
    """With a key file the gateway serves other machines, and only requests with a key."""
    keyed = KeyedGateway(serve, tmp_path, {"alice": {}}, HOST="0.0.0.0", POOL_SIZE_OTHER="0")
    assert keyed.ask("alice", "hello")[0] == 200
    assert keyed.server.ask("hello")[0] == 401


def test_workspaces(serve, tmp_path, upstream):
    """With several keys each key works in a directory of its own."""
    shared = tmp_path / "work"
    shared.mkdir()
    keyed = KeyedGateway(serve, tmp_path, {"alice": {}, "bob": {}}, CLAUDE_CWD=str(shared))
    status, _ = keyed.ask("alice", WRITE)
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
        _, body = keyed.ask("bob", f"[[tool {tool}]] [[result]]")
        assert "denied" in text_of(body), (tool, text_of(body))
    _, body = keyed.ask("bob", '[[tool Bash {"command": "pwd"}]] [[result]]')
    assert text_of(body) == str(shared / "bob")
    _, body = keyed.ask("alice", '[[tool Bash {"command": "cat made.txt"}]] [[result]]')
    assert text_of(body) == "x"
    assert sorted(path.name for path in shared.iterdir()) == ["alice", "bob"]
