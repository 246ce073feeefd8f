"""Plants: files of a host's user and of a caller's directory, which no model may see."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from wrapper.services.claude.isolation.unix_user import UnixUser

# What Claude Code reads in a directory of its configuration, and in a project's.
_CONFIG = ("settings.json", "commands/planted.md", "skills/planted/SKILL.md", "agents/planted.md")


@dataclass(frozen=True)
class Plants:
    """Files below *folder* that Claude Code would read on its own, each with the text `nonce`.

    `config` becomes its config directory, `home` its HOME, and `work` and `moved` the directories
    that a process starts in and is moved to. Beside those, `secret` is a file that no caller may
    see, with the text `hidden`, and `notes` one that an agent may read, with the text `noted`.
    Whatever runs a planted hook leaves the file `mark`.
    """

    folder: Path
    nonce: str = field(default_factory=lambda: f"planted-{secrets.token_hex(8)}")
    hidden: str = field(default_factory=lambda: f"hidden-{secrets.token_hex(8)}")
    noted: str = field(default_factory=lambda: f"noted-{secrets.token_hex(8)}")

    @property
    def config(self) -> Path:
        return self.folder / "config"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def work(self) -> Path:
        return self.folder / "work"

    @property
    def moved(self) -> Path:
        return self.folder / "moved"

    @property
    def secret(self) -> Path:
        return self.folder / "secret.txt"

    @property
    def notes(self) -> Path:
        return self.moved / "notes.txt"

    @property
    def mark(self) -> Path:
        return self.folder / "mark"

    def plant(self, user: UnixUser | None, *, isolated: bool) -> None:
        """Write the files. They belong to *user*, if there is one.

        Where Claude Code is not *isolated*, because the settings let it read the host's, it finds
        none of these.
        """
        for folder in (self.config, self.home, self.work, self.moved):
            folder.mkdir(parents=True)
        if isolated:
            self._plant_settings()
        self._write(self.secret, self.hidden)
        self._write(self.notes, self.noted)
        if user:
            user.own(*sorted(self.folder.rglob("*"), reverse=True), self.folder)

    def leftovers(self) -> list[str]:
        """Return the names of files that a turn has made in the folder or its directories."""
        expected = {"config", "home", "work", "moved", self.secret.name, self.notes.name}
        expected |= {".claude", "CLAUDE.md"}
        folders = (self.folder, self.work, self.moved)
        names = (path.name for folder in folders for path in folder.iterdir())
        return [name for name in names if name not in expected]

    def _plant_settings(self) -> None:
        self._plant(self.config)
        for folder in (self.home, self.work, self.moved):
            self._plant(folder / ".claude")
            self._write(folder / "CLAUDE.md", self.nonce)
            self._write(folder / ".claude" / "settings.local.json", self._settings())
        for folder in (self.work, self.moved):
            memory = "-".join(folder.parts).replace("/", "").replace("_", "-")
            self._write(self.config / "projects" / memory / "memory" / "MEMORY.md", self.nonce)

    def _plant(self, folder: Path) -> None:
        self._write(folder / "CLAUDE.md", self.nonce)
        for name in _CONFIG:
            text = self._settings() if name.endswith(".json") else self._described()
            self._write(folder / name, text)

    def _described(self) -> str:
        return f"---\nname: planted\ndescription: {self.nonce}\n---\n{self.nonce}\n"

    def _settings(self) -> str:
        command = f"touch {self.mark}; echo {self.nonce}"
        hook = [{"hooks": [{"type": "command", "command": command}]}]
        variables = {"ANTHROPIC_CUSTOM_HEADERS": f"x-planted: {self.nonce}"}
        hooks = {"SessionStart": hook, "UserPromptSubmit": hook}
        return json.dumps({"hooks": hooks, "env": variables})

    def _write(self, file: Path, text: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
