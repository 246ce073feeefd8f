"""A check: one thing that Claude Code does not document, and what follows where it is not so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from wrapper.services.claude.processes.profiles import Profile
from wrapper.services.claude.processes.trials.trial import Trial
from wrapper.services.turn import Turn


class Consequence(Enum):
    """What follows if a check fails, with its description."""

    REFUSED = "no process of the profile serves"
    UNAVAILABLE = "requests that need it get an error"
    SLOWER = "requests are served in a slower way"
    NAMED = "requests are served, and the response names it"


@dataclass(frozen=True)
class Check:
    """A check of the processes of some `profiles`.

    `relies_on` says in a sentence what the gateway relies on. `run` raises Failed if it is not so;
    checks of one process run one after another. Those that `come_first` run before a process
    serves, the others in the background. `applies` says whether the check makes sense for a
    profile as it is set, and `needed_by` whether a turn depends on it. `remedy` says what to do,
    besides another version, if the check fails.
    """

    id: str
    profiles: tuple[str, ...]
    relies_on: str
    consequence: Consequence
    run: Callable[[Trial], None]
    comes_first: bool = False
    applies: Callable[[Profile], bool] = lambda profile: True
    needed_by: Callable[[Turn], bool] = lambda turn: True
    remedy: str = ""

    def is_for(self, profile: Profile) -> bool:
        return profile.name in self.profiles and self.applies(profile)
