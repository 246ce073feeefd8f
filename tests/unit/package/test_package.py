"""The package: its contents, and that it works when installed alone."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import claude_code_gateway
import wrapper
from tests.support import cli
from tests.support.lowest import extras, read
from tests.support.server import ROOT, Server
from wrapper import __version__

pytestmark = pytest.mark.timeout(300)

# The names by which users start and import the gateway.
PACKAGES = ("claude_code_gateway", "wrapper")
PROGRAMS = (
    ("claude-code-gateway",),
    ("python", "-m", "claude_code_gateway"),
    ("flask", "--app", "claude_code_gateway", "gateway"),
)
COMMANDS = (("doctor",), ("models",), ("settings",), ("keys", "list"))
# Each of these makes every command fail.
MISTAKES: tuple[dict[str, str], ...] = (
    {"PORT": "eighty", "POOL_SIZE": "-1"},
    {"API_KEYS_FILE": "missing.toml"},
    {"WRAPPER_ENGINE": "other"},
    {"CLAUDE_CWD": "/nowhere"},
    {"HOST": "0.0.0.0"},
)
# What is only in a checkout, or only there is called so.
CHECKOUT = re.compile(
    r"requirements\S*\.txt|\bmake (install|run|demo|smoke)\b|README|wsgi|\.venv/bin"
)
# Each command with one mistake, and each mistake with one command.
WRONG = [
    pytest.param(
        command,
        mistake,
        id=" ".join((*command, *mistake)),
        marks=() if 0 in (row, column) else pytest.mark.thorough,
    )
    for row, command in enumerate(COMMANDS)
    for column, mistake in enumerate(MISTAKES)
]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

NAME = f"claude_code_gateway-{__version__}"
SECRET = "sk-nobody-may-see-this"


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    """Run a command that must succeed, and return its output."""
    done = subprocess.run(command, cwd=cwd, env=variables or None, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """The folder of the sdist and of the wheel built from it, from a source folder with secrets."""
    folder: Path = tmp_path_factory.mktemp("built")
    clone = folder / "clone"
    run("git", "clone", "-q", ROOT, clone, cwd=folder)
    for name in (".env", "keys.toml", "wrapper/.env"):
        (clone / name).write_text(SECRET)
    run(sys.executable, "-m", "build", "--no-isolation", "-o", folder, clone, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return built / f"{NAME}-py3-none-any.whl"


@dataclass(frozen=True)
class Output:
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class InstalledPackage:
    """An environment with the wheel and its requirements, and an empty directory.

    `shop` is a user's program.
    """

    bin: Path
    cwd: Path
    shop: Path

    def run(self, *command: str | Path) -> str:
        program, *arguments = command
        home = {"HOME": str(self.cwd), "PATH": str(self.bin), "CLAUDE_CLI_PATH": cli.current()}
        return run(self.bin / program, *arguments, cwd=self.cwd, **home)

    def call(self, *command: str | Path, cwd: Path, **variables: str) -> Output:
        """Run a command as a user in *cwd* does, whether it succeeds or not."""
        program, *arguments = command
        environment = {"HOME": str(cwd), "PATH": f"{self.bin}:/usr/bin:/bin"}
        environment |= {"CLAUDE_CLI_PATH": cli.current(), **variables}
        done = subprocess.run(
            [self.bin / program, *arguments],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
        )
        return Output(done.returncode, done.stdout, done.stderr)

    def pip(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pip", "--python", self.bin / "python", *arguments]
        return subprocess.run(command, cwd=self.cwd, capture_output=True, text=True)

    def install(self, what: str | Path) -> None:
        """Install *what*, a wheel."""
        done = self.pip("install", "--quiet", "--no-compile", what)
        if done.returncode:
            cli.missing(f"registry that has what the package requires: {done.stderr}")


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> InstalledPackage:
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    (folder / "cwd").mkdir()
    (folder / "shop").mkdir()
    shop = folder / "shop" / "shop.py"
    shutil.copy(ROOT / "tests" / "support" / "typed_usage.py", shop)
    package = InstalledPackage(folder / "venv" / "bin", folder / "cwd", shop)
    package.install(wheel)
    return package


@pytest.fixture
def with_extras(installed, wheel) -> Iterator[InstalledPackage]:
    """The environment with all extras, which are removed after the test."""
    installed.install(f"{wheel}[{','.join(extras())}]")
    yield installed
    installed.pip(
        "uninstall",
        "--yes",
        *(requirement.name for extra in extras().values() for requirement in extra),
    )


def modules() -> set[str]:
    listed = run("git", "ls-files", "claude_code_gateway", "wrapper", cwd=ROOT).split()
    assert len(listed) > 100
    return set(listed)


def test_public_names():
    """The public package has the same names as the package with the code."""
    assert claude_code_gateway.__all__ == wrapper.__all__
    for name in wrapper.__all__:
        assert getattr(claude_code_gateway, name) is getattr(wrapper, name)


def test_wheel(wheel):
    """The wheel has every module, py.typed and the licence, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    about = {name for name in names if name.startswith(f"{NAME}.dist-info/")}
    assert names - about == modules()
    assert "wrapper/py.typed" in names
    assert f"{NAME}.dist-info/licenses/LICENSE" in about


def test_sdist(built):
    """The sdist has the files to start and configure a server, and neither tests nor secrets."""
    with tarfile.open(built / f"{NAME}.tar.gz") as archive:
        files = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
        texts = {name.removeprefix(f"{NAME}/"): file.read() for name, file in files.items() if file}
    beside = {"LICENSE", "README.md", "requirements.txt", "wsgi.py", "gunicorn.conf.py"}
    assert texts.keys() > modules() | beside | {".env.example", "CHANGELOG.md", "SECURITY.md"}
    assert not {name for name in texts if name.startswith("tests")}
    assert not {name for name, text in texts.items() if SECRET.encode() in text}


def test_requirements_agree():
    """The files of requirements match the package's extras."""
    assert extras().keys() == {"redis", "metrics", "docs", "otel"}
    named = [requirement for extra in extras().values() for requirement in extra]
    assert read("requirements-extras.txt") == named
    assert read("requirements-cli.txt") == [Requirement(line) for line in EXTRAS["claude"]]


def test_serves(installed, upstream, tmp_path):
    """The installed program answers a request from an empty directory."""
    program = (str(installed.bin / "claude-code-gateway"),)
    server = Server(tmp_path, upstream.url, program=program, launcher=(), PYTHONPATH="")
    try:
        status, answer = server.wait().ask("Hello?")
        missing = server.call("GET", "/openapi.json")
    finally:
        server.stop()
    assert (status, answer["choices"][0]["message"]["content"]) == (200, "You said: Hello?")
    assert missing[0] == 404
    assert b"pip install 'claude-code-gateway[docs]'" in missing[2]


@pytest.mark.parametrize("package", PACKAGES)
def test_gunicorn(installed, package):
    """gunicorn finds the package's configuration and app by name."""
    app = ("-c", f"python:{package}.gunicorn_conf", f"{package}:create_app()")
    installed.run("gunicorn", "--check-config", *app)


@pytest.mark.parametrize("package", PACKAGES)
def test_commands(installed, package):
    """Flask finds the commands by the package's name."""
    assert "SESSION_TTL=3600" in installed.run("flask", "--app", package, "gateway", "settings")


@pytest.fixture
def own_directory(tmp_path: Path) -> Path:
    """A user's directory, with a `wrapper.py` of theirs that must not be imported."""
    (tmp_path / "wrapper.py").write_text("raise RuntimeError('the wrapper of the user')")
    return tmp_path


def _check_messages(printed: Output, *names: str) -> None:
    text = printed.out + printed.err
    assert printed.status in (1, 2), text
    assert "Traceback" not in text
    assert not CHECKOUT.search(text), text
    assert all(name in text for name in names), text


@pytest.mark.parametrize(("command", "mistake"), WRONG)
def test_plain_messages(installed, own_directory, command, mistake):
    """No mistake leads to a traceback, or to advice that names what only a checkout has."""
    printed = installed.call(*PROGRAMS[0], *command, cwd=own_directory, **mistake)
    _check_messages(printed, *(mistake if command != ("keys", "list") else ()))


@pytest.mark.parametrize("program", PROGRAMS[1:], ids=" ".join)
def test_plain_messages_of_each_program(installed, own_directory, program):
    """The commands' other names say as plainly what is wrong."""
    mistake = MISTAKES[0]
    printed = installed.call(*program, "doctor", cwd=own_directory, **mistake)
    _check_messages(printed, *mistake)


@pytest.mark.parametrize("program", PROGRAMS[:2], ids=" ".join)
def test_own_wrapper(installed, own_directory, program):
    """A user's own `wrapper.py` shadows neither the program nor the public package."""
    assert installed.call(*program, "--version", cwd=own_directory).out.endswith(
        f" {__version__}\n"
    )
    listed = installed.call(*program, "settings", cwd=own_directory)
    assert (listed.status, listed.err) == (0, "")
    assert "SESSION_TTL=3600" in listed.out.splitlines()


def test_own_wrapper_and_servers(installed, own_directory):
    """With a user's own `wrapper.py`, gunicorn and flask find the gateway by its public name."""
    app = ("-c", "python:claude_code_gateway.gunicorn_conf", "claude_code_gateway:create_app()")
    checked = installed.call("gunicorn", "--check-config", *app, cwd=own_directory)
    assert (checked.status, checked.err) == (0, "")
    flask = ("flask", "--app", "claude_code_gateway", "routes")
    assert "/v1/chat/completions" in installed.call(*flask, cwd=own_directory).out


def test_own_wrapper_and_imports(installed, own_directory):
    """After the public package, the packages of `wrapper` are found beside the user's module."""
    code = "from claude_code_gateway import Gateway; from wrapper.testing import say; print(say)"
    printed = installed.call("python", "-c", code, cwd=own_directory)
    assert (printed.status, printed.err) == (0, "")


def test_own_wrapper_comes_first(installed, own_directory):
    """An app that has already imported a `wrapper` of its own is told to rename it."""
    (own_directory / "wrapper.py").write_text("")
    code = "import wrapper, claude_code_gateway"
    failed = installed.call("python", "-c", code, cwd=own_directory)
    assert failed.status == 1
    assert failed.err.splitlines()[-1].startswith("ImportError: claude_code_gateway needs its")
    assert f"{own_directory / 'wrapper.py'} is imported under that name; rename it" in failed.err


def test_first_key(installed, own_directory):
    """`keys new` makes the keys file, and says where; `keys list` and `settings` then read it."""
    program = ("claude-code-gateway", "keys")
    file = {"API_KEYS_FILE": "team/keys.toml"}
    made = installed.call(*program, "new", "alice", cwd=own_directory, **file)
    assert (made.status, made.err) == (
        0,
        "The key of alice is shown only once. Set its ceilings in team/keys.toml.\n",
    )
    assert re.fullmatch(r"sk-[\w-]{43}\n", made.out)
    assert installed.call(*program, "list", cwd=own_directory, **file).out == "alice\n"
    assert installed.call("claude-code-gateway", "settings", cwd=own_directory, **file).status == 0


def test_no_claude(installed, own_directory):
    """Without a Claude Code the demo says how to install one, and ends."""
    printed = installed.call(
        "claude-code-gateway", "demo", "0", cwd=own_directory, CLAUDE_CLI_PATH=""
    )
    assert printed.status == 1
    assert "pip install 'claude-code-gateway[claude]'" in printed.err
    assert "Traceback" not in printed.err


def test_completion(installed, own_directory):
    """bash completes the program's commands after the line that --help recommends."""
    line = installed.call("claude-code-gateway", "--help", cwd=own_directory).out.splitlines()[-1]
    script = (
        f"{line.strip()}; COMP_WORDS=(claude-code-gateway do); COMP_CWORD=1; "
        '_claude_code_gateway_completion claude-code-gateway; echo "${COMPREPLY[@]}"'
    )
    environment = {"PATH": f"{installed.bin}:/usr/bin:/bin", "HOME": str(own_directory)}
    bash = ("bash", "--norc", "-ec", script)
    assert run(*bash, cwd=own_directory, **environment).split() == ["doctor"]


@pytest.mark.thorough
def test_first_answer(wheel, tmp_path):
    """From nothing, one line with a wheel serves a first answer within a minute after downloads."""
    uvx = shutil.which(
        "uvx", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    )
    if not uvx:
        cli.missing("uvx: pip install -r requirements-dev.txt")
    kept = ("SSL_CERT_FILE", "UV_DEFAULT_INDEX", "UV_FIND_LINKS", "UV_PYTHON")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {"HOME": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    line = (str(uvx), "--from", f"{wheel}[claude]", "claude-code-gateway")
    run(*line, "--version", cwd=tmp_path, **environment)  # downloads
    began = time.monotonic()
    demo = subprocess.Popen(
        [*line, "demo", "0"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        command = next(line for line in demo.stdout or () if line.startswith("curl "))
        answer = run("sh", "-c", command, cwd=tmp_path)
        assert "You said: Say hello." in answer
        assert time.monotonic() - began < 60
    finally:
        demo.send_signal(signal.SIGINT)
        assert demo.wait(30) == 0
        if demo.stdout:
            demo.stdout.close()


def test_usage(installed):
    """Everything for apps and their tests works with the package's requirements alone."""
    shown = installed.run("python", installed.shop).splitlines()
    assert shown[:4] == [__version__, "Good day.", "Good day.", "Good day."]


def test_types(installed, tmp_path):
    """A user's strict mypy accepts the installed types."""
    options = ("--strict", "--python-executable", installed.bin / "python", "--cache-dir", tmp_path)
    output = run(sys.executable, "-m", "mypy", *options, installed.shop, cwd=installed.cwd)
    assert "no issues found" in output


def test_extras(with_extras):
    """With all extras there is no conflict, and the document and metrics are served."""
    checked = with_extras.pip("check")
    assert checked.returncode == 0, checked.stdout
    asked = "from wrapper import create_app; client = create_app().test_client()"
    shown = "print([client.get(path).status_code for path in ('/openapi.json', '/metrics')])"
    assert "[200, 200]" in with_extras.run("python", "-c", f"{asked}; {shown}")
