"""The commands `doctor`, `settings` and `models`."""

from __future__ import annotations

import socket

import pytest
from flask import Flask
from flask.cli import FlaskGroup, ScriptInfo

from wrapper import create_app, errors, host
from wrapper.cli import doctor
from wrapper.cli.commands import app_for_flask
from wrapper.settings import Settings, SettingsError
from wrapper.testing.engine import ScriptedEngine, answer

CLI = {"version": "2.1.300", "path": "/bin/claude", "error": None}


class Engine(ScriptedEngine):
    """A scripted engine with a given CLI and login."""

    def __init__(self, *steps, cli=None, missing=(), health=None, warning=None):
        super().__init__(lambda turn: steps or answer("OK."))
        self._health = health
        self.closed = False
        login = {"method": "anthropic", "reason": "ANTHROPIC_API_KEY is set"}
        self._status = {
            **login,
            "missing": list(missing),
            "warning": warning,
            "cli": {**CLI, **(cli or {})},
        }

    def describe(self):
        return self._status

    def health(self):
        return self._health or super().health()

    def close(self):
        self.closed = True


def run(command, engine=None, **settings):
    """Return the exit status and the lines of *command*, or of its words, run with *settings*."""
    app = create_app(Settings(**{"port": 0, **settings}), engine=engine or Engine())
    words = (command,) if isinstance(command, str) else command
    result = app.test_cli_runner().invoke(args=["gateway", *words])
    return result.exit_code, result.output.splitlines()


def failures(lines):
    return [line for line in lines if line.startswith("FAILED")]


def test_success():
    """If all is well, each check has a line, the turn's with its time, and the status is 0."""
    engine = Engine()
    status, lines = run("doctor", engine)
    assert status == 0
    assert [line.split()[0] for line in lines] == ["ok"] * 13
    stores = ["SESSION_DIR", "USAGE_DB", "FILES_DIR", "JOBS_DB"]
    machine = ["settings", "TMPDIR", "engine", *stores, "address", "commands"]
    subjects = [line[8:].partition(":")[0] for line in lines]
    assert subjects == [*machine, "claude", "login", "model API", "turn"]
    assert "commands: a short list of commands that read (SECURITY.md); for more, set" in lines[8]
    assert "2.1.300 at /bin/claude" in lines[9]
    assert lines[10] == "ok      login: anthropic (ANTHROPIC_API_KEY is set)"
    assert lines[12].startswith("ok      turn: scripted-model answered in 0.")
    assert [turn.profile for turn in engine.turns] == ["plain"]
    assert engine.closed


def test_system(monkeypatch):
    """On another system than Linux the doctor warns that nothing is tested there."""
    monkeypatch.setattr(host, "LINUX", False)
    status, lines = run("doctor")
    assert status == 0
    assert f"WARNING system: {host.UNTESTED}" in lines


def test_confinement():
    """The doctor says which setting confines agents' commands."""
    _, lines = run("doctor", claude_sandbox=True)
    assert "ok      commands: in Claude Code's sandbox (CLAUDE_SANDBOX)" in lines


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (errors.ModelNotFound("No model."), "DEFAULT_MODEL"),
        (errors.RateLimited("Too fast."), "wait"),
        (errors.Overloaded("Too much."), "wait"),
        (errors.PermissionDenied("Not you."), "login"),
        (errors.BadGateway("No way."), "ANTHROPIC_BASE_URL"),
        (
            errors.Unavailable("No process.", details="No process. It wrote: x"),
            "It wrote: x. To do",
        ),
    ],
)
def test_failed_turn(error, remedy):
    """A failed turn is reported with the error's message and what to do, and the engine closes."""
    engine = Engine(error)
    status, lines = run("doctor", engine)
    assert status == 1
    (line,) = failures(lines)
    assert line.startswith(f"FAILED  turn: {error.message}")
    assert remedy in line
    assert engine.closed


def test_refused_login(monkeypatch):
    """A refused login is named, with the provider's reason and how to renew it."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-x")
    error = errors.UpstreamAuthentication("For callers.", details="It was refused: Invalid API key")
    assert failures(run("doctor", Engine(error))[1]) == [
        "FAILED  turn: It was refused: Invalid API key (ANTHROPIC_API_KEY is set). To do: set "
        "ANTHROPIC_API_KEY to a valid one, and check ANTHROPIC_BASE_URL if it is set."
    ]


def test_silent_upstream(monkeypatch):
    """A turn without an answer fails after a while."""
    monkeypatch.setattr(doctor, "TURN_SECONDS", 0.3)
    status, lines = run("doctor", Engine(60.0))
    assert status == 1
    assert "no answer within 0.3 s; check the network" in failures(lines)[0]


def test_cli_missing():
    """A missing CLI is reported once, with what to do, and no turn is tried."""
    why = "There is no claude program. Install it: so."
    engine = Engine(cli={"error": why, "path": None}, missing=[why])
    status, lines = run("doctor", engine)
    assert status == 1
    assert failures(lines) == [f"FAILED  claude: {why}", "FAILED  turn: not tried without the CLI"]
    assert not engine.turns


def test_trials():
    """What Claude Code fails is a warning, with what follows."""
    failed = {"max-turns": "the hook is not called"}
    trials = {
        "agent": {"status": "failed", "failed": failed},
        "plain": {"status": "passed", "failed": {}},
    }
    status, lines = run("doctor", Engine(health={"status": "ok", "pools": {}, "trials": trials}))
    assert status == 0
    follows = "requests that need it get an error"
    assert f"WARNING trial agent: max-turns: the hook is not called; {follows}" in lines
    assert "ok      trial plain: passed" in lines


def test_broken_profile():
    """If processes of the other profile do not start, the doctor fails and says why."""
    broken = {"status": "failing", "ready": 0, "booting": 0, "error": "It is too old."}
    pools = {"plain": {"status": "ready"}, "agent": broken}
    engine = Engine(health={"status": "failing", "pools": pools})
    status, lines = run("doctor", engine)
    assert status == 1
    assert failures(lines) == ["FAILED  profile agent: It is too old."]


def test_not_logged_in():
    """A missing login is reported with what to do."""
    status, lines = run("doctor", Engine(missing=["no login: log in so"]))
    assert status == 1
    assert failures(lines)[0].endswith("; no login: log in so")


def test_login_that_expires():
    """A login that ends soon is a warning, as it still works."""
    status, lines = run("doctor", Engine(warning="the login expires at noon: log in so"))
    assert status == 0
    login = (
        "WARNING login: anthropic (ANTHROPIC_API_KEY is set); the login expires at noon: log in so"
    )
    assert login in lines


def test_port_taken():
    """A taken port is reported with the system's reason and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        status, lines = run("doctor", port=port)
    assert status == 1
    (line,) = failures(lines)
    assert line.startswith(f"FAILED  address: 127.0.0.1 port {port}: Address already in use; set")


def test_warnings(tmp_path):
    """What only impairs the gateway is a warning, with which the doctor succeeds."""
    (tmp_path / "file").touch()
    status, lines = run("doctor", session_dir=str(tmp_path / "file" / "sessions"))
    assert status == 0
    assert lines[3].startswith(f"WARNING SESSION_DIR: {tmp_path}/file/sessions: Not a directory")


@pytest.fixture
def run_with_wrong_settings(monkeypatch, tmp_path):
    """Return a function that runs a command with wrong settings and a CLI that is too old."""
    old = tmp_path / "claude"
    old.write_text("#!/bin/sh\necho '2.1.1 (Claude Code)'\n")
    old.chmod(0o755)
    monkeypatch.setenv("CLAUDE_CLI_PATH", str(old))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-x")
    monkeypatch.setenv("PORT", "eighty")
    monkeypatch.chdir(tmp_path)
    error = SettingsError(["PORT: Not a number.", "LOG_LEVEL: Must be one of: a, b."])
    info = ScriptInfo(create_app=lambda: app_for_flask(error))
    runner = Flask("x").test_cli_runner()

    def run(*arguments):
        group = FlaskGroup(load_dotenv=False)
        result = runner.invoke(group, arguments, obj=info, prog_name="flask")
        return result.exit_code, result.output.splitlines()

    return run


def test_doctor_of_wrong_settings(run_with_wrong_settings):
    """Each wrong setting is reported by name, next to what can be checked without settings."""
    status, lines = run_with_wrong_settings("gateway", "doctor")
    assert status == 1
    port, level, cli = failures(lines)
    assert port.startswith("FAILED  PORT: Not a number.")
    assert level.startswith("FAILED  LOG_LEVEL: Must be one of: a, b.")
    assert "(2.1.1) is older than" in cli
    assert "ok      login: anthropic (ANTHROPIC_API_KEY is set)" in lines


@pytest.mark.parametrize("command", [("gateway", "models"), ("routes",)])
def test_wrong_settings(run_with_wrong_settings, command):
    """Other commands report every wrong setting, without a traceback."""
    status, lines = run_with_wrong_settings(*command)
    assert status == 1
    assert lines == [
        "Error: these settings are wrong:",
        "  PORT: Not a number.",
        "  LOG_LEVEL: Must be one of: a, b.",
    ]


def test_help_with_wrong_settings(run_with_wrong_settings):
    """With wrong settings the help still lists the commands."""
    status, lines = run_with_wrong_settings("--help")
    assert status == 0
    assert "  gateway  Manage the gateway." in lines


def test_settings():
    """`settings` prints each name with its value, default and meaning, and masks keys."""
    status, lines = run(
        "settings", api_key="the-key", model_aliases=(("a", "b"), ("c", "d")), allow_bypass=True
    )
    assert status == 0
    assert "the-key" not in "\n".join(lines)
    for line in ("API_KEY=********", "MODEL_ALIASES=a=b,c=d", "ALLOW_BYPASS=true"):
        assert line in lines
    at = lines.index("PORT=0")
    assert lines[at + 1 : at + 3] == ["    default: 8000", "    Port to listen on."]
    assert len(lines) == 3 * len(Settings.__dataclass_fields__)


@pytest.mark.parametrize(
    ("store", "shown"), [("none", "none"), ("redis://:pw@a:1/0", "redis://********@a:1/0")]
)
def test_only_secrets_are_masked(store, shown):
    """Of a URL only the login is masked, and a word not at all."""
    assert f"SESSION_STORE={shown}" in run("settings", session_store=store)[1]


def test_empty_key_is_not_masked():
    """An empty key is shown as empty."""
    assert "API_KEY=" in run("settings")[1]


def test_models():
    """`models` prints the models that a request may name, those of the engine included."""
    engine = Engine()
    status, lines = run("models", engine)
    assert status == 0
    assert {"scripted-model", "sonnet"} <= set(lines)
    assert engine.closed


def test_models_of_a_broken_cli():
    """If Claude Code does not start, `models` says why, instead of a list that may be wrong."""
    engine = Engine(cli={"error": "it exits with status 1; install it again"})
    assert run("models", engine) == (1, ["Error: it exits with status 1; install it again"])
    assert engine.closed
