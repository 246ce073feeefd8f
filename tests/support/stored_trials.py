"""Results of trials as an earlier gateway has stored them, so that a gateway has nothing to try."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from wrapper.services.claude.processes.binary import choose
from wrapper.services.claude.processes.profiles import build_profiles
from wrapper.services.claude.processes.trials.results import Results
from wrapper.services.claude.processes.trials.table import CHECKS
from wrapper.settings import Settings

FAILURE = "it does something else"
NONE: Mapping[str, Collection[str]] = {}


def store(
    folder: Path,
    binary: str,
    failed: Mapping[str, Collection[str]] = NONE,
    missing: Collection[str] = (),
) -> None:
    """Store in *folder* that *binary* passes all checks but those *failed*, by profile.

    Of those that are *missing* there is no result. A `Server` with its usual settings reads them.
    """
    settings = Settings(claude_cli_path=binary, claude_code_max_retries=0)
    environment = {"PATH": os.environ["PATH"], "ANTHROPIC_API_KEY": "sk-test"}
    profiles = build_profiles(settings, environment)
    for name in ("agent", "plain"):
        results = {
            check.id: FAILURE if check.id in failed.get(name, ()) else ""
            for check in CHECKS
            if check.is_for(profiles[name]) and check.id not in missing
        }
        Results(folder).write(choose(settings, environment), profiles[name], results)
