"""Confined commands: what a model's Bash can read and change, for each way to confine it."""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import LEAN
from tests.support import cli
from tests.support.keyed_gateway import KeyedGateway
from tests.support.server import Server, alive, eventually
from wrapper.services.claude.isolation import sandbox, unix_user
from wrapper.settings import SESSION_DIR_OF_USER

NOBODY = "nobody"
KEY = "sk-test-0123456789"
OPENED = {"CLAUDE_ALLOWED_TOOLS": "Bash"}
# Confined processes have to pass the trials, too; test_start.py tests that the usual ones do.
TRIED = {"TRIALS": "true"}
KINDS: dict[str, dict[str, str]] = {
    "nothing": {},
    "sandbox": {"CLAUDE_SANDBOX": "true", **TRIED},
    "user": {"CLAUDE_USER": NOBODY, **OPENED, **TRIED},
    "unsandboxed": {"ALLOW_UNSANDBOXED_BASH": "true", **OPENED},
}

SHOW = """python3 -c 'print(open("{path}", "rb").read())'"""
# Claude Code denies commands that name /proc/*/environ, so this one does not name it.
SEARCH = "import os; os.system('grep -als {key} /proc/[0-9]*/en' + 'viron')"
# Commands of a model, and what it sees if they succeed.
ATTEMPTS: dict[str, tuple[str, str]] = {
    "environment": ("python3 -c 'import os; print(os.environ)'", KEY),
    "processes": (f'python3 -c "{SEARCH.format(key=KEY)}"', "/environ"),
    "login": (SHOW.format(path="{home}/.claude/.credentials.json"), "the login"),
    "keys file": (SHOW.format(path="{keys}"), "sha256"),
    "books": (SHOW.format(path="{books}"), "SQLite format"),
    "settings": (SHOW.format(path="{cwd}/.env"), "the settings"),
    "session": (SHOW.format(path="{session}/note"), "another's note"),
    "process": (SHOW.format(path="{process}/config/.claude.json"), "userID"),
}
SEEN: dict[str, set[str]] = {
    "nothing": set(),
    "sandbox": set(),
    "user": {"environment", "processes", "session", "process"},
    "unsandboxed": set(ATTEMPTS),
}


def needs(kind: str) -> None:
    """Skip the test if *kind* cannot run here. In CI, where everything must be installed, fail."""
    if kind == "sandbox" and (why := sandbox.check(os.environ["PATH"], None)):
        cli.missing(f"sandbox here: {why}")
    if kind == "user" and os.geteuid() != 0:
        cli.missing("right to run processes as another user: be root")


def runnable(folder: Path) -> str:
    """Return a claude that every user can run: the installed one or a copy."""
    installed = cli.current()
    if os.geteuid() != 0 or unix_user.find(NOBODY).can("x", installed):
        return installed
    return str(shutil.copy(installed, folder / "claude"))


class ConfinedGateway:
    """A gateway with callers and with secret files, in a folder of its own."""

    def __init__(self, kind: str, upstream_url: str, folder: Path, stack: ExitStack):
        self.kind, self.folder = kind, folder
        folder.chmod(0o711)  # pytest's directories are closed to other users

        def start(**settings: str) -> Server:
            binary = {"CLAUDE_CLI_PATH": runnable(folder)}
            sessions = {"SESSION_DIR": str(folder / "sessions")}
            (folder / "server").mkdir()
            (folder / "t").mkdir()  # the sandbox's sockets need a short path
            short = {"TMPDIR": str(folder / "t")}
            variables = {**binary, **sessions, **short, **KINDS[kind], **settings}
            server = Server(folder / "server", upstream_url, **{**LEAN, **variables})
            stack.callback(server.stop)
            return server

        (folder / "keys").mkdir(mode=0o700)
        self.keyed = KeyedGateway(start, folder / "keys", {"alice": {}, "bob": {}}, POOL_SIZE="2")
        self.server = self.keyed.server
        self._hide()

    def _hide(self) -> None:
        """Write the secret files, each readable only to its owner."""
        server = self.server.folder
        (server / "home").chmod(0o700)
        (server / "home" / ".claude").mkdir(exist_ok=True)  # Claude Code has a sandbox's made
        login, settings = server / "home" / ".claude" / ".credentials.json", server / "cwd" / ".env"
        login.write_text("the login")
        settings.write_text("the settings")
        self.keyed.ask("bob", "hello", session_id="bobs")
        (self.session,) = (self.folder / "sessions").iterdir()
        note = self.session / "note"
        note.write_text("another's note")
        owner = self.session.stat()
        os.chown(note, owner.st_uid, owner.st_gid)
        for path in (login, settings, note):
            path.chmod(0o600)

    def places(self) -> dict[str, Any]:
        self.server.at_rest()  # a process that boots or ends may lack its files
        others = [h for h in self.server.homes() if (h / "config").stat().st_uid == self._uid()]
        home = self.server.folder / "home"
        return {
            "home": home,
            "cwd": self.server.folder / "cwd",
            "keys": self.keyed.file,
            "books": home / ".local/state/claude-code-gateway/usage.db",
            "session": self.session,
            "process": others[-1],
        }

    def _uid(self) -> int:
        return unix_user.find(NOBODY).uid if self.kind == "user" else os.geteuid()

    def run(self, command: str, **more: Any) -> str:
        """Return the result of a *command* that alice's model gets."""
        return self.use("Bash", {"command": command}, **more)

    def use(self, tool: str, arguments: dict[str, Any], **more: Any) -> str:
        asked = f"[[tool {tool} {json.dumps(arguments)}]] [[result]]"
        status, body = self.keyed.ask("alice", asked, **more)
        assert status == 200, body
        return str(body["choices"][0]["message"]["content"])


@pytest.fixture(scope="module")
def _confine(the_upstream):
    with ExitStack() as stack:

        @functools.cache
        def confine(kind: str) -> ConfinedGateway:
            needs(kind)
            folder = Path(tempfile.mkdtemp(prefix="h-", dir="/tmp"))
            stack.callback(shutil.rmtree, folder)
            return ConfinedGateway(kind, the_upstream.url, folder, stack)

        yield confine


@pytest.fixture
def confine(_confine, upstream):
    return _confine


@pytest.mark.parametrize("attempt", ATTEMPTS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_can_be_read(confine, kind, attempt):
    """Keys, other sessions, processes and the gateway's files are read as SECURITY.md says."""
    confined = confine(kind)
    command, mark = ATTEMPTS[attempt]
    output = confined.run("echo tried; " + command.format(**confined.places()))
    assert output.startswith(("tried", "Exit code 1\ntried")) is (kind != "nothing"), output
    assert (mark in output) is (attempt in SEEN[kind]), output


# Commands that Claude Code runs unasked in some mode, and some that it never does.
WRITING = ("touch made", "ln -s here made", "rm here", "python3 -c 1", "echo a > made", "env")
# Ways around Claude Code's own checks of what a command reads; more are in test_readonly.py.
AROUND = (
    "echo {keys} | xargs head",
    "wc --fi''les0-from={keys}",
    "cat < {keys}",
    "head -c 900 /proc/self/root{keys}",
    "tree --fromfile {keys}",
    "grep -R sha256 link",
    "rg -L sha256",
    "cat .*/*/keys.toml",
    "cd link && cat keys.toml",
)


@pytest.mark.parametrize("mode", ["plan", "default", "dontAsk", "acceptEdits"])
def test_only_reading_commands_run(confine, mode):
    """By default no command writes or runs a program, in any mode, and the model learns why."""
    confined = confine("nothing")
    more = {"session_id": f"mode-{mode}", "claude": {"permission_mode": mode}}
    work = Path(confined.run("pwd", **more).split("\n")[0])
    (work / "here").write_text("a")
    for command in WRITING:
        output = confined.run(command, **more)
        assert "approval" in output or "denied" in output, (command, output)
    assert (work / "here").read_text() == "a"
    assert [path.name for path in work.iterdir()] == ["here"]


@pytest.mark.parametrize("command", AROUND)
def test_no_way_around_the_checks(confine, command):
    """By default commands that read elsewhere by a trick are denied."""
    confined = confine("nothing")
    link = Path(confined.run("pwd", session_id="around").split("\n")[0], "link")
    if not link.is_symlink():
        link.symlink_to(confined.places()["keys"].parent)
    output = confined.run(command.format(**confined.places()), session_id="around")
    assert "sha256" not in output
    assert KEY not in output
    assert "denied" in output or "No such file" in output, output


@pytest.mark.parametrize("mode", ["plan", "default", "dontAsk", "acceptEdits"])
def test_useful_commands_run(confine, mode):
    """By default an agent can list, search and read its files, in any mode."""
    confined = confine("nothing")
    more = {"session_id": f"useful-{mode}", "claude": {"permission_mode": mode}}
    work = Path(confined.run("pwd", **more).split("\n")[0])
    (work / "sub").mkdir()
    (work / "sub" / "a b.txt").write_text("one\ntwo\n")
    (work / "link").symlink_to("/etc/passwd")
    assert confined.run("cd sub && grep -c two *.txt", **more) == "1"
    told = confined.run(
        "ls sub/*; rg -n tw; cat 'sub/a b.txt' | tail -n 1; find . -name '*.txt'", **more
    )
    assert told == "sub/a b.txt\nsub/a b.txt:2:two\ntwo\n./sub/a b.txt"


def test_reading_and_editing_stay(confine):
    """By default agents write and edit only in their directory."""
    confined = confine("nothing")
    work = Path(confined.run("pwd", session_id="edits").split("\n")[0])
    for tool, arguments in (
        ("Write", {"file_path": str(work / "note"), "content": "one"}),
        ("Edit", {"file_path": str(work / "note"), "old_string": "one", "new_string": "two"}),
        ("Write", {"file_path": str(work.parent / "note"), "content": "planted"}),
        ("Write", {"file_path": str(work / ".git" / "config"), "content": "planted"}),
    ):
        confined.use(tool, arguments, session_id="edits")
    assert "two" in confined.run("cat note 2>/dev/null | wc -c; cat note", session_id="edits")
    assert [path.name for path in work.rglob("*")] == ["note"]
    assert not (work.parent / "note").exists()


@pytest.mark.parametrize("kind", ["nothing", "sandbox", "user"])
def test_nothing_is_written_elsewhere(confine, kind):
    """Unless it is allowed, no command changes the gateway's files or other sessions'."""
    confined = confine(kind)
    planted = 'python3 -c \'open("{}", "w").write("planted")\''
    places = confined.places()
    targets = [places["keys"], places["cwd"] / "planted", confined.folder / "planted"]
    targets += [] if kind == "user" else [places["session"] / "planted"]
    before = places["keys"].read_text()
    for target in targets:
        confined.run(planted.format(target))
        assert not target.exists() or target == places["keys"]
    assert places["keys"].read_text() == before


@pytest.mark.parametrize("kind", ["nothing", "sandbox", "user"])
def test_no_process_of_the_gateway_is_ended(confine, kind):
    """Unless it is allowed, no command ends the gateway."""
    confined = confine(kind)
    for pid in (confined.server.worker, confined.server.process.pid):
        confined.run(f"python3 -c 'import os; os.kill({pid}, 9)'")
        assert alive(pid)


def test_sandbox_runs_what_is_asked(confine):
    """In the sandbox commands write in the agent's directory, and the files stay."""
    confined = confine("sandbox")
    command = "pwd; echo text > made && python3 -c 'print(open(\"made\").read() * 2)'"
    work, *output = confined.run(command, session_id="builds").split("\n")
    assert output[:2] == ["text", "text"]
    assert Path(work, "made").read_text() == "text\n"


def test_sandbox_has_no_network(confine, the_upstream):
    """From the sandbox neither the upstream nor the gateway can be reached."""
    confined = confine("sandbox")
    for port in (confined.server.port, the_upstream.url.rpartition(":")[2]):
        call = f'import socket; print(socket.create_connection((\\"127.0.0.1\\", {port}), 5))'
        assert "Connection refused" in confined.run(f'python3 -c "{call}"')


def test_sandbox_cannot_be_left(confine):
    """A command that asks to run outside the sandbox runs inside."""
    confined = confine("sandbox")
    command = SHOW.format(path=confined.places()["keys"])
    output = confined.use("Bash", {"command": command, "dangerouslyDisableSandbox": True})
    assert "No such file" in output


def test_user_of_its_own(confine):
    """Agents run as CLAUDE_USER, in directories of that user; plain processes do not."""
    confined = confine("user")
    assert NOBODY in confined.run("id -un")
    uid = unix_user.find(NOBODY).uid
    confined.server.at_rest()
    owners = {pid: os.stat(f"/proc/{pid}").st_uid for pid in confined.server.claudes()}
    assert set(owners.values()) == {0, uid}


def works_as_nobody(server: Server, session: str) -> None:
    """Let a session's agent make a file, check its owner and directory, and delete the session."""
    asked = '[[tool Bash {"command": "id -un; pwd; touch made"}]] [[result]]'
    status, body = server.ask(asked, session_id=session)
    assert status == 200, body
    user, name = body["choices"][0]["message"]["content"].split("\n")[:2]
    work = Path(name)
    assert (user, work.parent) == (NOBODY, Path(SESSION_DIR_OF_USER))
    assert (work / "made").stat().st_uid == unix_user.find(NOBODY).uid
    assert server.call("DELETE", f"/v1/sessions/{session}")[0] == 200
    assert eventually(lambda: not work.exists(), 25)


@pytest.mark.thorough
def test_another_user_with_default_paths(the_upstream):
    """CLAUDE_USER works with the default paths, at the first start and later ones."""
    needs("user")
    with tempfile.TemporaryDirectory(prefix="h-", dir="/tmp") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o711)
        own = {"CLAUDE_CLI_PATH": runnable(folder), "HOME": str(folder), **KINDS["user"]}
        for start in ("first", "second"):
            (folder / start).mkdir()
            server = Server(folder / start, the_upstream.url, **{**LEAN, **own})
            stack.callback(server.stop)
            works_as_nobody(server.wait(), start)
            server.stop()


@pytest.mark.thorough
def test_nothing_of_another_user_is_left(the_upstream):
    """If a worker is killed, CLAUDE_USER's processes end; directories go when the gateway stops."""
    needs("user")
    with tempfile.TemporaryDirectory(prefix="h-", dir="/tmp") as name, ExitStack() as stack:
        confined = ConfinedGateway("user", the_upstream.url, Path(name), stack)
        pids = confined.server.claudes()
        assert pids
        os.kill(confined.server.worker, signal.SIGKILL)
        assert eventually(lambda: not any(alive(pid) for pid in pids), 25)
        confined.server.stop()
        assert eventually(lambda: not list(confined.server.temporary.iterdir()), 25)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"CLAUDE_ALLOWED_TOOLS": "Bash(git:*)"}, "CLAUDE_ALLOWED_TOOLS: Bash(git:*)"),
        ({"CLAUDE_SANDBOX": "true", "PATH": "/nowhere"}, "apt-get install bubblewrap socat"),
        ({"CLAUDE_USER": "nobody-of-that-name"}, "useradd --system nobody-of-that-name"),
    ],
)
def test_no_start(serve, settings, named):
    """A gateway that cannot confine commands as set does not start, and says what to do."""
    server = serve(**settings)
    assert server.ended() != 0
    assert named in server.log()


def test_a_sandbox_that_claude_does_not_make(serve, tmp_path):
    """A Claude Code that does not take its sandbox settings is refused."""
    needs("sandbox")
    script = tmp_path / "claude"
    script.write_text(
        f'#!/bin/bash\nwords=(); while [ $# -gt 0 ]; do [ "$1" = --settings ] && shift 2 || '
        f'{{ words+=("$1"); shift; }}; done\nexec {cli.current()} "${{words[@]}}"\n'
    )
    script.chmod(0o755)
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        server = serve(CLAUDE_CLI_PATH=str(script), CLAUDE_SANDBOX="true", TMPDIR=short)
        assert server.ended() == 3
    assert "does not apply the settings of its sandbox" in server.log()
