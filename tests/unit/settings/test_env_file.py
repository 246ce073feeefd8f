"""The file `.env`: a broken one is refused with its path and line, and no value is shown."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wrapper.settings import Settings, SettingsError, environment, load
from wrapper.settings.env_file import read

BROKEN = [
    ('PORT=1\n\nAPI_KEY="hush-hush\nHOST=0.0.0.0\n', 3, "the quote of API_KEY is not closed"),
    ("PORT=1\nAPI_KEY='hush-hush\n", 2, "the quote of API_KEY is not closed"),
    ('API_KEY="hush-hush" and more\n', 1, "or text follows it"),
    ("\n\n# a comment\nAPI_KEY: hush-hush\n", 4, "is not an assignment; write NAME=VALUE"),
    ("PORT=1\n= hush-hush\n", 2, "is not an assignment"),
    ("'A=B'=hush-hush\n", 1, "is not an assignment"),
    ("PORT=1\nAPI_KEY\n", 2, "has no value; write API_KEY=VALUE"),
    ("API_KEY:hush-hush\n", 1, "has no value; write API_KEY=VALUE"),
    ("PORT=1\nAPI-KEY:hush-hush\n", 2, "has no value; write API_KEY=VALUE"),
    ('A="x\nAPI_KEY=hush-hush\nB="\n', 1, "the quote of A ends behind API_KEY="),
    ("API_KEY=${NO_SUCH_VARIABLE}\n", 1, "API_KEY refers to NO_SUCH_VARIABLE, which is not set"),
    (b"PORT=1\nAPI_KEY=hush\xffhush\n", 2, "is not UTF-8; save it as UTF-8"),
    ("API_KEY=hush-hush\n".encode("utf-16"), 1, "is not UTF-8, but UTF-16"),
    ("API_KEY=hush-hush\n".encode("utf-16-le"), 1, "holds a NUL character, as UTF-16 does"),
    (b"PORT=1\nAPI_KEY=hush\0hush\n", 2, "holds a NUL character"),
]


@pytest.mark.parametrize(("content", "line", "reason"), BROKEN)
def test_broken(env_file, mistakes, content, line, reason):
    """What cannot be read as it was meant is refused with file, line and reason, and no value."""
    path = env_file(content)
    (mistake,) = mistakes()
    assert mistake.startswith(f"{path} line {line}: ")
    assert reason in mistake
    assert "hush" not in mistake.removeprefix(str(path))


def test_all_broken_lines(env_file, mistakes):
    """Every broken line is reported, and wrong values in the environment are, too."""
    path = env_file("one two\nPORT=1\nthree four\n")
    first, second, level = mistakes(LOG_LEVEL="loud")
    assert first.startswith(f"{path} line 1: ")
    assert second.startswith(f"{path} line 3: ")
    assert level.startswith("LOG_LEVEL: ")


def test_a_broken_file_sets_nothing(env_file, mistakes):
    """The lines before a broken one have no effect, because those after it may be lost."""
    env_file('PORT=9001\nAPI_KEY="hush-hush\n')
    mistakes()
    assert "PORT" not in os.environ


def test_directory(tmp_path, mistakes):
    """A directory is refused."""
    (tmp_path / ".env").mkdir()
    (mistake,) = mistakes()
    assert mistake.startswith(f"{tmp_path / '.env'}: is not a regular file; ")


def test_pipe(tmp_path):
    """A pipe is read, because programs that keep secrets offer the file so."""
    path = tmp_path / ".env"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=("PORT=9001\n",))
    writer.start()
    assert read(path, {"PORT"}).values == {"PORT": "9001"}
    writer.join()


def test_socket(tmp_path, mistakes):
    """What is neither a file nor a pipe is refused."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(".env")  # a path from here, because one of a socket must be short
        (mistake,) = mistakes()
    assert mistake.startswith(f"{tmp_path / '.env'}: is not a regular file; ")


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(), st.text("API_KEY=\"'#${}: \n\r\\x\0é")))
def test_any_content(env_file, content):
    """Any content is read or refused, and never ends in another error."""
    env_file(content)
    with contextlib.suppress(SettingsError):
        load()


def test_dangling_link(tmp_path, mistakes):
    """A link to nothing is refused, because a file was meant."""
    (tmp_path / ".env").symlink_to("nothing")
    (mistake,) = mistakes()
    assert "is a link to a file that does not exist" in mistake


def test_unreadable(env_file, mistakes, monkeypatch):
    """A file without permission is refused, and the message says whom to permit."""
    path = env_file("PORT=1\n")

    def denied(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    (mistake,) = mistakes()
    remedy = f"permit the user {os.getuid()} to read it"
    assert mistake.startswith(f"{path}: cannot be read (Permission denied); {remedy}")


GOOD = [
    (b"\xef\xbb\xbfDEFAULT_MODEL=opus\n", "a byte order mark"),
    ("DEFAULT_MODEL=opus\r\nLOG_LEVEL=debug\r\n", "Windows' line ends"),
    ("export DEFAULT_MODEL = 'opus' # the best\n", "export, spaces, quotes and a comment"),
    ("MODEL_NAME=opus\nDEFAULT_MODEL=${MODEL_NAME}\n", "a variable of the file"),
    ("DEFAULT_MODEL=${NO_SUCH_VARIABLE:-opus}\n", "a variable with a default"),
    ("DEFAULT_MODEL=opus\nSOMETHING_ELSE\n", "another program's name without value"),
    ('CERT="-----BEGIN\nAAAA=\n-----END"\nDEFAULT_MODEL=opus', "another program's long value"),
    ("FOO=${NO_SUCH_VARIABLE}\nDEFAULT_MODEL=opus\n", "another program's unset variable"),
]


@pytest.mark.parametrize(("content", "form"), GOOD, ids=[form for _, form in GOOD])
def test_accepted(env_file, content, form):
    """Every usual form of the file is read."""
    env_file(content)
    assert load().default_model == "opus"
    assert environment()["DEFAULT_MODEL"] == "opus"


@pytest.mark.parametrize("content", ["", "\n\n", "# only a comment"])
def test_empty(env_file, content):
    """An empty file sets nothing."""
    env_file(content)
    assert load() == Settings()
