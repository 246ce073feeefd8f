"""The package: its contents, and that it works when installed alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import cli
from tests.support.lowest import extras, read
from tests.support.server import ROOT, Server
from wrapper import __version__

pytestmark = pytest.mark.timeout(300)

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
class InstalledPackage:
    """An environment with the wheel and its requirements, and an empty directory.

    `shop` is a user's program.
    """

    bin: Path
    cwd: Path
    shop: Path

    def run(self, *command: str | Path) -> str:
        program, *arguments = command
        home = {"HOME": str(self.cwd), "PATH": str(self.bin)}
        return run(self.bin / program, *arguments, cwd=self.cwd, **home)

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
    listed = run("git", "ls-files", "wrapper", cwd=ROOT).split()
    assert len(listed) > 100
    return set(listed)


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
    """requirements-extras.txt matches the package's extras."""
    assert extras().keys() == {"redis", "metrics", "docs"}
    named = [requirement for extra in extras().values() for requirement in extra]
    assert read("requirements-extras.txt") == named


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


def test_gunicorn(installed):
    """gunicorn finds the package's configuration and app by name."""
    app = ("-c", "python:wrapper.gunicorn_conf", "wrapper:create_app()")
    installed.run("gunicorn", "--check-config", *app)


def test_commands(installed):
    """Flask finds the commands by the package's name."""
    assert "SESSION_TTL=3600" in installed.run("flask", "--app", "wrapper", "gateway", "settings")


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
