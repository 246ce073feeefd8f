"""Results of trials, kept in files so that each Claude Code is tried once."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from wrapper.services.claude.login.login import uses_cli_login
from wrapper.services.claude.processes.binary import Binary
from wrapper.services.claude.processes.profiles import PASSED, Profile
from wrapper.version import __version__

# What a result may hold; a longer file is none.
MAX_BYTES = 65536

log = logging.getLogger(__name__)


class Results:
    """Stores results in *folder*, by binary and profile.

    Without a folder that can be written to, each gateway tries the binary itself.
    """

    def __init__(self, folder: Path):
        self._folder = folder

    def read(self, binary: Binary, profile: Profile) -> dict[str, str]:
        """Return the results by check: why each failed, or "". Empty if none can be read."""
        try:
            with self._file(binary, profile).open("rb") as file:
                stored = json.loads(file.read(MAX_BYTES))["results"]
            return {str(check): str(failure) for check, failure in stored.items()}
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return {}

    def write(self, binary: Binary, profile: Profile, results: Mapping[str, str]) -> None:
        """Store the results, with what they are of for whoever looks at the file."""
        stored = {"binary": str(binary), "profile": profile.name, "results": dict(results)}
        file = self._file(binary, profile)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=self._folder, delete=False) as new:
                json.dump(stored, new)
            os.replace(new.name, file)
        except OSError as error:
            log.info("the result of a trial cannot be stored in %s: %s", self._folder, error)

    def _file(self, binary: Binary, profile: Profile) -> Path:
        return self._folder / f"{_key(binary, profile)}.json"


def _key(binary: Binary, profile: Profile) -> str:
    """Return a name for the binary as it is now, and for what *profile* starts it with."""
    variables = [
        (name, value)
        for name, value in sorted(profile.variables.items())
        if not any(fnmatchcase(name, pattern) for pattern in PASSED)
    ]
    login = uses_cli_login(profile.variables)
    program = [
        os.path.realpath(binary.path),
        binary.version,
        binary.stamp,
        profile.arguments,
        variables,
        login,
        profile.connects,
    ]
    return hashlib.sha256(json.dumps([__version__, *program]).encode()).hexdigest()
