"""The routes of tools: what a caller's agents may use, and who may change that."""

from dataclasses import replace

import pytest
from flask import Flask

from tests.support.key_files import add_keys
from tests.support.response_validator import ResponseValidator
from tests.support.scripted_server import CHAT_PATH, USER, error_of
from wrapper import Gateway
from wrapper.auth import key_editor
from wrapper.auth.key_file import KeyFile
from wrapper.services.events import ToolUsed
from wrapper.services.tools.tool import Tool
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine, answer

TOOLS, CONFIG, STATS = "/v1/tools", "/v1/tools/config", "/v1/tools/stats"
OF_SESSION = f"{CONFIG}?session_id=s"
SCHEMA = {"type": "object", "properties": {"file_path": {"type": "string"}}}
LIMITS = ("allowed_tools", "disallowed_tools", "permission_mode", "max_turns", "mcp_servers")
NOTHING = dict.fromkeys(LIMITS)


class Engine(ScriptedEngine):
    """An engine with two tools, one of which each turn uses."""

    def __init__(self):
        super().__init__(lambda turn: [ToolUsed("Read", "failed", 0.25), *answer("Hello.")])

    def tools(self):
        return Tool("Read", "Reads a file.", SCHEMA), Tool("Write", "Writes one.")


class Keyed:
    """A gateway with a keys file: alice, bob, and the admin ann."""

    def __init__(self, folder, **settings):
        self.file = folder / "keys.toml"
        self.keys = add_keys(self.file, "alice", "bob", "ann", admin="ann")
        self.engine = Engine()
        self.app = self.worker(**settings)

    def worker(self, **settings):
        """Return the app of another worker with the same keys file."""
        app = Flask(__name__)
        usage = str(self.file.with_name("usage.db"))
        given = Settings(api_keys_file=str(self.file), usage_db=usage, **settings)
        Gateway(given, engine=self.engine).init_app(app)
        return app

    def send(self, name, method, path, body=None, status=200, app=None):
        """Send a request with a key, and return the response's body."""
        header = {"Authorization": f"Bearer {self.keys[name]}"}
        response = (
            (app or self.app).test_client().open(path, method=method, json=body, headers=header)
        )
        ResponseValidator(self.app, needs_key=True).check(
            response, path.partition("?")[0], method.lower()
        )
        assert response.status_code == status, response.data
        return error_of(response, status) if status >= 400 else response.json

    def turn(self, name, status=200, app=None, **fields):
        """Run a turn, and return its Permissions, or the error."""
        body = {"messages": [USER], "claude": {"profile": "agent", **fields.pop("claude", {})}}
        answer = self.send(name, "POST", CHAT_PATH, {**body, **fields}, status, app)
        return self.engine.turns[-1].permissions if status == 200 else answer


@pytest.fixture
def keyed(tmp_path):
    return Keyed(tmp_path)


def test_list(keyed):
    """A tool is listed as the model gets it, with what the caller may do and the rule for that."""
    read, write = keyed.send("alice", "GET", TOOLS)["data"]
    assert read == {
        "object": "tool",
        "name": "Read",
        "description": "Reads a file.",
        "input_schema": SCHEMA,
        "origin": "claude_code",
        "access": "allowed",
        "reason": "It reads in the agent's working directory.",
        "rule": None,
    }
    assert write["rule"] == {"source": "settings", "name": "CLAUDE_PERMISSION_MODE"}


def test_engine_without_tools():
    """An engine that offers no tools has an empty list."""
    app = Flask(__name__)
    Gateway(Settings(), engine=ScriptedEngine()).init_app(app)
    response = app.test_client().get(TOOLS)
    assert response.json == {"object": "list", "data": [], "unlisted": []}


def test_session_config(keyed):
    """A session's config holds from its next turn on, and shows in the list of tools."""
    keyed.turn("alice", session_id="s")
    config = {"allowed_tools": ["Read", "Write"], "permission_mode": "plan", "max_turns": 2}
    body = keyed.send("alice", "PUT", OF_SESSION, config)
    assert (body["session_id"], body["config"]) == ("s", {**NOTHING, **config})
    assert body == keyed.send("alice", "GET", OF_SESSION)
    permissions = keyed.turn("alice", session_id="s")
    assert (permissions.mode, permissions.max_turns) == ("plan", 2)
    assert {"Bash", "Grep"} <= set(permissions.deny)
    _, write = keyed.send("alice", "GET", f"{TOOLS}?session_id=s")["data"]
    assert (write["access"], write["rule"]) == (
        "denied",
        {"source": "session", "name": "permission_mode"},
    )
    assert keyed.send("alice", "GET", TOOLS)["data"][1]["access"] == "allowed"


def test_request_beyond_a_session_config(keyed):
    """A request cannot ask for more than its session's config; the error names that."""
    keyed.turn("alice", session_id="s")
    keyed.send("alice", "PUT", OF_SESSION, {"permission_mode": "plan"})
    wide = {"permission_mode": "acceptEdits"}
    error = keyed.turn("alice", 403, session_id="s", claude=wide)
    assert "the session's tool config allows no more than plan" in error["message"]


def test_config_replaces_what_the_first_request_asked_for(keyed):
    """Before a session's config is set, it is what the first request asked for."""
    keyed.turn("alice", session_id="s", claude={"max_turns": 1, "disallowed_tools": ["Bash"]})
    body = keyed.send("alice", "GET", OF_SESSION)
    assert body["config"] == {**NOTHING, "max_turns": 1, "disallowed_tools": ["Bash"]}
    keyed.send("alice", "PUT", OF_SESSION, {"max_turns": 3})
    permissions = keyed.turn("alice", session_id="s")
    assert (permissions.max_turns, permissions.deny) == (3, ())


def test_later_limits_narrow_a_sessions_options(keyed):
    """A key that is narrowed also narrows its sessions, whose requests then still succeed."""
    first = {"permission_mode": "acceptEdits", "max_turns": 9, "allowed_tools": ["Read", "Bash"]}
    keyed.turn("alice", session_id="s", claude=first)
    config = {"permission_mode": "plan", "max_turns": 2, "allowed_tools": ["Read", "Write"]}
    keyed.send("ann", "PUT", f"{CONFIG}?key=alice", config)
    permissions = keyed.turn("alice", session_id="s")
    assert (permissions.mode, permissions.max_turns) == ("plan", 2)
    assert "Bash" in permissions.deny
    assert "Read" not in permissions.deny


def test_key_config(keyed):
    """An admin sets a key's config, which holds for that key alone, on every worker, at once."""
    other = keyed.worker()
    config = {"allowed_tools": ["Read"], "disallowed_tools": ["Read(/etc/**)"], "max_turns": 4}
    body = keyed.send("ann", "PUT", f"{CONFIG}?key=alice", config)
    assert (body["key"], body["config"]) == ("alice", {**NOTHING, **config})
    assert body["effective"]["allowed_tools"] == ["Read"]
    for app in (keyed.app, other):
        assert keyed.send("alice", "GET", CONFIG, app=app) == body
        assert "Bash" in keyed.turn("alice", app=app).deny
        assert keyed.turn("bob", app=app).deny == ()
        _, write = keyed.send("alice", "GET", TOOLS, app=app)["data"]
        assert write["rule"] == {"source": "key_config", "name": "allowed_tools"}
    keyed.send("ann", "PUT", f"{CONFIG}?key=alice", {})
    assert keyed.turn("alice", app=other).deny == ()
    assert "config" not in keyed.file.read_text().partition("[keys]")[2]


@pytest.mark.parametrize(
    ("name", "method", "path", "status"),
    [
        ("alice", "PUT", f"{CONFIG}?key=alice", 403),
        ("alice", "PUT", f"{CONFIG}?key=bob", 403),
        ("alice", "PUT", f"{CONFIG}?key=nobody", 403),
        ("alice", "GET", f"{CONFIG}?key=bob", 403),
        ("alice", "GET", f"{CONFIG}?key=nobody", 403),
        ("bob", "GET", OF_SESSION, 404),
        ("bob", "PUT", OF_SESSION, 404),
        ("bob", "GET", f"{TOOLS}?session_id=s", 404),
        ("ann", "PUT", OF_SESSION, 404),
        ("ann", "GET", f"{CONFIG}?key=nobody", 404),
        ("ann", "PUT", f"{CONFIG}?key=nobody", 404),
        ("ann", "PUT", CONFIG, 400),
        ("ann", "PUT", f"{OF_SESSION}&key=alice", 400),
    ],
)
def test_others(keyed, name, method, path, status):
    """Only its owner sees or sets a session's config, and only an admin another key's."""
    keyed.turn("alice", session_id="s")
    before = keyed.file.read_text()
    keyed.send(name, method, path, {} if method == "PUT" else None, status)
    assert keyed.file.read_text() == before
    assert keyed.send("ann", "GET", f"{CONFIG}?key=bob")["config"] == NOTHING


@pytest.mark.parametrize(
    ("config", "status", "param"),
    [
        ({"allowed_tools": ["Monitor"]}, 403, "allowed_tools"),
        ({"permission_mode": "bypassPermissions"}, 403, "permission_mode"),
        ({"disallowed_tools": ["Bsh"]}, 400, "disallowed_tools.0"),
        ({"disallowed_tools": ["Bash(a\nb)"]}, 400, "disallowed_tools.0"),
        ({"disallowed_tools": ["Bash(a)"] * 101}, 400, "disallowed_tools"),
        ({"max_turns": 0}, 400, "max_turns"),
        ({"max_turns": "3"}, 400, "max_turns"),
        ({"permission_mode": "wide"}, 400, "permission_mode"),
        ({"tools": ["Bash"]}, 400, "tools"),
    ],
)
@pytest.mark.parametrize("path", [OF_SESSION, f"{CONFIG}?key=ann"])
def test_refused_configs(keyed, path, config, status, param):
    """A config that is wider than the settings, or wrong, is refused and changes nothing."""
    keyed.turn("ann", session_id="s")
    error = keyed.send("ann", "PUT", path, config, status)
    assert error["param"] == param
    assert keyed.send("ann", "GET", path)["config"] == NOTHING


def test_wider_than_the_key(tmp_path):
    """A config cannot widen a key's own limits; the error names them."""
    keyed = Keyed(tmp_path)
    text = keyed.file.read_text()
    limits = '\npermission_mode = "default"\nmax_turns = 3\ntools = ["Read"]'
    keyed.file.write_text(text.replace("[keys.alice]", f"[keys.alice]{limits}"))
    keyed.turn("alice", session_id="s")
    wide = {"permission_mode": "acceptEdits", "max_turns": 4, "allowed_tools": ["Write"]}
    for name, value in wide.items():
        for caller, path in (("alice", OF_SESSION), ("ann", f"{CONFIG}?key=alice")):
            error = keyed.send(caller, "PUT", path, {name: value}, 403)
            assert "the key 'alice' allows no more than" in error["message"]


def test_config_in_the_file_beyond_the_key(tmp_path):
    """A config in the keys file that is wider than the key's limits widens nothing."""
    keyed = Keyed(tmp_path)
    wide = {"permission_mode": "acceptEdits", "max_turns": 9}
    key_editor.configure(keyed.file, "alice", wide)
    text = keyed.file.read_text()
    narrow = '[keys.alice]\npermission_mode = "plan"\nmax_turns = 1'
    keyed.file.write_text(text.replace("[keys.alice]", narrow))
    permissions = keyed.turn("alice")
    assert (permissions.mode, permissions.max_turns) == ("plan", 1)


def test_busy_session(keyed):
    """While a turn of the session runs, its config cannot be set: 409, and nothing waits."""
    keyed.turn("alice", session_id="s")
    store = keyed.app.extensions["wrapper"].stores.sessions._store
    claim = store.claim("alice", "s", 0)
    assert keyed.send("alice", "PUT", OF_SESSION, {}, 409)["code"] == "session_busy"
    claim.release()
    keyed.send("alice", "PUT", OF_SESSION, {})


def test_no_keys_file():
    """Without a keys file or sessions there is nothing to configure; the error says so."""
    app = Flask(__name__)
    Gateway(Settings(session_store="none"), engine=Engine()).init_app(app)
    client = app.test_client()
    for path, reason in ((f"{CONFIG}?key=alice", "API_KEYS_FILE"), (OF_SESSION, "SESSION_STORE")):
        error = error_of(client.put(path, json={}), 400)
        assert reason in error["message"]
    own = client.get(CONFIG).json
    assert own is not None
    assert own["key"] == "local"


def test_unwritable_keys_file(keyed, monkeypatch, caplog):
    """Where the keys file cannot be changed the answer is 503, and its path is only in the log."""
    monkeypatch.setattr(key_editor, "_has_keys", lambda *_: False)
    error = keyed.send("ann", "PUT", f"{CONFIG}?key=bob", {"max_turns": 1}, 503)
    assert str(keyed.file) not in error["message"]
    assert "bob" in caplog.text


def test_principal_of_the_file(keyed):
    """A key's config is read as part of its principal."""
    key_editor.configure(keyed.file, "bob", {"permission_mode": "PLAN", "allowed_tools": ["Read"]})
    bob = next(who for who in KeyFile(keyed.file).principals() if who.name == "bob")
    assert bob.config is not None
    assert (bob.config.permission_mode, bob.config.allowed_tools) == ("plan", ("Read",))
    assert replace(bob, config=None).config is None


def test_stats(keyed):
    """A caller sees how their own agents used tools; an admin sees all, or one key."""
    other = keyed.worker()
    keyed.turn("alice")
    keyed.turn("alice", app=other)
    keyed.turn("bob")
    counts = {"tool": "Read", "uses": 2, "failures": 2, "denials": 0, "seconds": 0.5}
    line = {"key": "alice", **counts}
    for app in (keyed.app, other):
        assert keyed.send("alice", "GET", STATS, app=app)["data"] == [line]
    assert keyed.send("alice", "GET", f"{STATS}?key=bob", status=403)["param"] == "key"
    everyone = keyed.send("ann", "GET", STATS)
    assert [row["key"] for row in everyone["data"]] == ["alice", "bob"]
    assert keyed.send("ann", "GET", f"{STATS}?key=alice")["data"] == [line]
    assert keyed.send("ann", "GET", f"{STATS}?start=2026-01-01&end=2026-01-31")["data"] == []
    assert keyed.send("ann", "GET", f"{STATS}?end=soon", status=400)["param"] == "end"
