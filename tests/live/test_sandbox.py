"""Commands are held: what a model's Bash gets to see, and to change, by what holds it."""

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

from tests.support import cli
from tests.support.keyed_gateway import KeyedGateway
from tests.support.server import Server, alive, eventually
from wrapper.services.claude.isolation import sandbox, unix_user
from wrapper.settings import SESSION_DIR_OF_USER

NOBODY = "nobody"
KEY = "sk-test-0123456789"
OPENED = {"CLAUDE_ALLOWED_TOOLS": "Bash"}
KINDS: dict[str, dict[str, str]] = {
    "nothing": {},
    "sandbox": {"CLAUDE_SANDBOX": "true"},
    "user": {"CLAUDE_USER": NOBODY, **OPENED},
    "unsandboxed": {"ALLOW_UNSANDBOXED_BASH": "true", **OPENED},
}

SHOW = """python3 -c 'print(open("{path}", "rb").read())'"""
# Claude Code denies commands that name the file /proc/*/environ, and so this one does not.
SEARCH = "import os; os.system('grep -als {key} /proc/[0-9]*/en' + 'viron')"
# What a model tries, and what it sees where that succeeds.
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
    """Skip, or fail where everything is to be there, without what *kind* is made of."""
    if kind == "sandbox" and (why := sandbox.check(os.environ["PATH"], None)):
        cli.missing(f"sandbox here: {why}")
    if kind == "user" and os.geteuid() != 0:
        cli.missing("right to run processes as another user: be root")


def runnable(folder: Path) -> str:
    """Return a claude that everybody can run: the installed one, or else a copy of it."""
    installed = cli.current()
    if os.geteuid() != 0 or unix_user.find(NOBODY).can("x", installed):
        return installed
    return str(shutil.copy(installed, folder / "claude"))


class House:
    """A gateway with callers, and with what is not for their eyes, in a folder of its own."""

    def __init__(self, kind: str, upstream_url: str, folder: Path, stack: ExitStack):
        self.kind, self.folder = kind, folder
        folder.chmod(0o711)  # those of pytest let no other user pass

        def start(**settings: str) -> Server:
            binary = {"CLAUDE_CLI_PATH": runnable(folder)}
            sessions = {"SESSION_DIR": str(folder / "sessions")}
            (folder / "server").mkdir()
            (folder / "t").mkdir()  # in a longer one the sandbox's sockets could not be made
            short = {"TMPDIR": str(folder / "t")}
            variables = {**binary, **sessions, **short, **KINDS[kind], **settings}
            server = Server(folder / "server", upstream_url, **variables)
            stack.callback(server.stop)
            return server

        (folder / "keys").mkdir(mode=0o700)
        self.keyed = KeyedGateway(start, folder / "keys", {"alice": {}, "bob": {}}, POOL_SIZE="2")
        self.server = self.keyed.server
        self._hide()

    def _hide(self) -> None:
        """Put there what may not be seen, each readable to its owner only."""
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
        """Return what alice's model is told of a *command*."""
        return self.use("Bash", {"command": command}, **more)

    def use(self, tool: str, arguments: dict[str, Any], **more: Any) -> str:
        asked = f"[[tool {tool} {json.dumps(arguments)}]] [[result]]"
        status, body = self.keyed.ask("alice", asked, **more)
        assert status == 200, body
        return str(body["choices"][0]["message"]["content"])


@pytest.fixture(scope="module")
def _houses(the_upstream):
    with ExitStack() as stack:

        @functools.cache
        def house(kind: str) -> House:
            needs(kind)
            folder = Path(tempfile.mkdtemp(prefix="h-", dir="/tmp"))
            stack.callback(shutil.rmtree, folder)
            return House(kind, the_upstream.url, folder, stack)

        yield house


@pytest.fixture
def house(_houses, upstream):
    return _houses


@pytest.mark.parametrize("attempt", ATTEMPTS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_can_be_read(house, kind, attempt):
    """Keys, other sessions, processes and the gateway's files are read as SECURITY.md says."""
    held = house(kind)
    command, mark = ATTEMPTS[attempt]
    said = held.run("echo tried; " + command.format(**held.places()))
    assert said.startswith(("tried", "Exit code 1\ntried")) is (kind != "nothing"), said
    assert (mark in said) is (attempt in SEEN[kind]), said


# Commands that Claude Code lets run unasked in one mode or another, and some that it never does.
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
def test_only_reading_commands_run(house, mode):
    """With nothing set no command writes or runs a program, in any mode; the model learns why."""
    held = house("nothing")
    more = {"session_id": f"mode-{mode}", "claude": {"permission_mode": mode}}
    work = Path(held.run("pwd", **more).split("\n")[0])
    (work / "here").write_text("a")
    for command in WRITING:
        said = held.run(command, **more)
        assert "approval" in said or "denied" in said, (command, said)
    assert (work / "here").read_text() == "a"
    assert [path.name for path in work.iterdir()] == ["here"]


@pytest.mark.parametrize("command", AROUND)
def test_no_way_around_the_checks(house, command):
    """With nothing set a command that would read elsewhere by a trick is denied."""
    held = house("nothing")
    link = Path(held.run("pwd", session_id="around").split("\n")[0], "link")
    if not link.is_symlink():
        link.symlink_to(held.places()["keys"].parent)
    said = held.run(command.format(**held.places()), session_id="around")
    assert "sha256" not in said
    assert KEY not in said
    assert "denied" in said or "No such file" in said, said


@pytest.mark.parametrize("mode", ["plan", "default", "dontAsk", "acceptEdits"])
def test_useful_commands_run(house, mode):
    """With nothing set an agent lists, searches and reads its files, in any mode."""
    held = house("nothing")
    more = {"session_id": f"useful-{mode}", "claude": {"permission_mode": mode}}
    work = Path(held.run("pwd", **more).split("\n")[0])
    (work / "sub").mkdir()
    (work / "sub" / "a b.txt").write_text("one\ntwo\n")
    (work / "link").symlink_to("/etc/passwd")
    assert held.run("cd sub && grep -c two *.txt", **more) == "1"
    told = held.run(
        "ls sub/*; rg -n tw; cat 'sub/a b.txt' | tail -n 1; find . -name '*.txt'", **more
    )
    assert told == "sub/a b.txt\nsub/a b.txt:2:two\ntwo\n./sub/a b.txt"


def test_reading_and_editing_stay(house):
    """With nothing set agents write and edit where they work, and nowhere else."""
    held = house("nothing")
    work = Path(held.run("pwd", session_id="edits").split("\n")[0])
    for tool, arguments in (
        ("Write", {"file_path": str(work / "note"), "content": "one"}),
        ("Edit", {"file_path": str(work / "note"), "old_string": "one", "new_string": "two"}),
        ("Write", {"file_path": str(work.parent / "note"), "content": "planted"}),
        ("Write", {"file_path": str(work / ".git" / "config"), "content": "planted"}),
    ):
        held.use(tool, arguments, session_id="edits")
    assert "two" in held.run("cat note 2>/dev/null | wc -c; cat note", session_id="edits")
    assert [path.name for path in work.rglob("*")] == ["note"]
    assert not (work.parent / "note").exists()


@pytest.mark.parametrize("kind", ["nothing", "sandbox", "user"])
def test_nothing_is_written_elsewhere(house, kind):
    """But where that is allowed, no command changes the gateway's files or another session's."""
    held = house(kind)
    planted = 'python3 -c \'open("{}", "w").write("planted")\''
    places = held.places()
    targets = [places["keys"], places["cwd"] / "planted", held.folder / "planted"]
    targets += [] if kind == "user" else [places["session"] / "planted"]
    before = places["keys"].read_text()
    for target in targets:
        held.run(planted.format(target))
        assert not target.exists() or target == places["keys"]
    assert places["keys"].read_text() == before


@pytest.mark.parametrize("kind", ["nothing", "sandbox", "user"])
def test_no_process_of_the_gateway_is_ended(house, kind):
    """But where that is allowed, no command ends the gateway."""
    held = house(kind)
    for pid in (held.server.worker, held.server.process.pid):
        held.run(f"python3 -c 'import os; os.kill({pid}, 9)'")
        assert alive(pid)


def test_sandbox_runs_what_is_asked(house):
    """In the sandbox commands write where the agent works, and its files are there afterwards."""
    held = house("sandbox")
    command = "pwd; echo text > made && python3 -c 'print(open(\"made\").read() * 2)'"
    work, *said = held.run(command, session_id="builds").split("\n")
    assert said[:2] == ["text", "text"]
    assert Path(work, "made").read_text() == "text\n"


def test_sandbox_has_no_network(house, the_upstream):
    """From the sandbox neither the upstream nor the gateway can be reached."""
    held = house("sandbox")
    for port in (held.server.port, the_upstream.url.rpartition(":")[2]):
        call = f'import socket; print(socket.create_connection((\\"127.0.0.1\\", {port}), 5))'
        assert "Connection refused" in held.run(f'python3 -c "{call}"')


def test_sandbox_cannot_be_left(house):
    """A command that asks to run outside the sandbox runs inside."""
    held = house("sandbox")
    command = SHOW.format(path=held.places()["keys"])
    said = held.use("Bash", {"command": command, "dangerouslyDisableSandbox": True})
    assert "No such file" in said


def test_user_of_its_own(house):
    """Agents run as CLAUDE_USER, in directories that are theirs; plain processes do not."""
    held = house("user")
    assert NOBODY in held.run("id -un")
    uid = unix_user.find(NOBODY).uid
    held.server.at_rest()
    owners = {pid: os.stat(f"/proc/{pid}").st_uid for pid in held.server.claudes()}
    assert set(owners.values()) == {0, uid}


def works_as_nobody(server: Server, session: str) -> None:
    """Have a session's agent make a file, see whose it is and where, and delete the session."""
    asked = '[[tool Bash {"command": "id -un; pwd; touch made"}]] [[result]]'
    status, body = server.ask(asked, session_id=session)
    assert status == 200, body
    user, name = body["choices"][0]["message"]["content"].split("\n")[:2]
    work = Path(name)
    assert (user, work.parent) == (NOBODY, Path(SESSION_DIR_OF_USER))
    assert (work / "made").stat().st_uid == unix_user.find(NOBODY).uid
    assert server.call("DELETE", f"/v1/sessions/{session}")[0] == 200
    assert eventually(lambda: not work.exists(), 5)


def test_another_user_with_default_paths(the_upstream):
    """CLAUDE_USER works without further settings of paths, at the first start and after it."""
    needs("user")
    with tempfile.TemporaryDirectory(prefix="h-", dir="/tmp") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o711)
        own = {"CLAUDE_CLI_PATH": runnable(folder), "HOME": str(folder), **KINDS["user"]}
        for start in ("first", "second"):
            (folder / start).mkdir()
            server = Server(folder / start, the_upstream.url, POOL_SIZE="1", **own)
            stack.callback(server.stop)
            works_as_nobody(server.wait(), start)
            server.stop()


def test_nothing_of_another_user_is_left(the_upstream):
    """Processes of CLAUDE_USER end with a worker that is killed, and directories go at the end."""
    needs("user")
    with tempfile.TemporaryDirectory(prefix="h-", dir="/tmp") as name, ExitStack() as stack:
        held = House("user", the_upstream.url, Path(name), stack)
        pids = held.server.claudes()
        assert pids
        os.kill(held.server.worker, signal.SIGKILL)
        assert eventually(lambda: not any(alive(pid) for pid in pids), 25)
        held.server.stop()
        assert eventually(lambda: not list(held.server.temporary.iterdir()), 5)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"CLAUDE_ALLOWED_TOOLS": "Bash(git:*)"}, "CLAUDE_ALLOWED_TOOLS: Bash(git:*)"),
        ({"CLAUDE_SANDBOX": "true", "PATH": "/nowhere"}, "apt-get install bubblewrap socat"),
        ({"CLAUDE_USER": "nobody-of-that-name"}, "useradd --system nobody-of-that-name"),
    ],
)
def test_no_start(serve, settings, named):
    """A gateway that could not hold commands as it is told does not start, and names the mend."""
    server = serve(**settings)
    assert server.ended() != 0
    assert named in server.log()


def test_a_sandbox_that_claude_does_not_make(serve, tmp_path):
    """A Claude Code that does not apply the settings of its sandbox is refused."""
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
