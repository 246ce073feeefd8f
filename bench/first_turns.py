"""The contenders for the first request of a key, for which no process has run a turn before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.answer import Timing, WrongAnswer
from bench.contenders import MESSAGES, Gateway
from wrapper.auth import key_editor

# More than the rounds of any run.
KEYS = 50
REUSED = ("desc=parked", "desc=recycled")


def add_keys(file: Path, profile: str) -> list[str]:
    """Add keys to the keys file, and return them."""
    return [key_editor.add(file, f"{profile}{number}") for number in range(KEYS)]


class FirstTurn:
    """The gateway, asked with a new key each time.

    Raises WrongAnswer if the turn found a process that has run a turn before.
    """

    def __init__(self, gateway: Gateway, profile: str, keys: Sequence[str]):
        self.name = f"first request of a key, {profile}"
        self._gateway = gateway
        self._profile = profile
        self._keys = iter(keys)

    def prepare(self) -> None:
        self._gateway.prepare()

    def ask(self) -> Timing:
        key = {"Authorization": f"Bearer {next(self._keys)}"}
        timing = self._gateway.ask(MESSAGES, self._profile, headers=key)
        lease = self._gateway.headers["server-timing"]
        if any(reused in lease for reused in REUSED):
            raise WrongAnswer(f"{self.name}: {lease}")
        return timing

    def close(self) -> None:
        """Do nothing: the gateway is a contender of its own."""
