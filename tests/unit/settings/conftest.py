"""An environment without settings, and a file of variables."""

from __future__ import annotations

import os
from dataclasses import fields

import pytest

from wrapper.settings import Settings, SettingsError, load


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch, tmp_path):
    """No setting is in the environment, which is restored after the test."""
    names = {row.name.upper() for row in fields(Settings)}
    environ = {name: text for name, text in os.environ.items() if name not in names}
    monkeypatch.setattr(os, "environ", os.environ.copy())
    os.environ.clear()
    os.environ.update(environ)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def env_file(tmp_path):
    """Return a function that writes `.env`, a text or bytes."""

    def write(content):
        data = content.encode() if isinstance(content, str) else content
        (tmp_path / ".env").write_bytes(data)
        return tmp_path / ".env"

    return write


@pytest.fixture
def mistakes():
    """Return a function that loads the settings of these variables and returns what is wrong."""

    def load_mistakes(**variables):
        os.environ.update(variables)
        with pytest.raises(SettingsError) as caught:
            load()
        return caught.value.mistakes

    return load_mistakes
