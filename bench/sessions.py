"""The contenders for later turns: of a session, and of a conversation sent again."""

from __future__ import annotations

import itertools

from bench.answer import EXPECTED, Timing, WrongAnswer
from bench.bare_turns import LATE
from bench.contenders import MESSAGES, Gateway


class SessionTurn:
    """The gateway, asked for turn *number* of a session; from LATE on also for the turns after it.

    Raises WrongAnswer if the turn did not find the process of the previous one.
    """

    def __init__(self, gateway: Gateway, profile: str, number: int):
        self.name = f"session, {profile}, turn {number}"
        self._gateway = gateway
        self._profile = profile
        self._number = number
        self._new_ids = (f"{profile}-{number}-{count}" for count in itertools.count())
        self._id = ""
        self._turns = 0

    def prepare(self) -> None:
        if self._turns < self._number - 1:
            self._id = next(self._new_ids)
            while self._turns < self._number - 1:
                self._gateway.ask(MESSAGES, self._profile, self._id)
                self._turns += 1
        self._gateway.prepare()

    def ask(self) -> Timing:
        before = self._gateway.resumed()
        timing = self._gateway.ask(MESSAGES, self._profile, self._id)
        if self._gateway.resumed() != before + 1:
            raise WrongAnswer(f"{self.name} found no process parked")
        self._turns += 1
        # The next turn of a young session has another number, and its process displaces others.
        if self._number < LATE:
            self._gateway.forget(self._id)
            self._turns = 0
        return timing

    def close(self) -> None:
        """Do nothing: the gateway is a contender of its own."""


class SentAgain:
    """The gateway, asked by a client that sends the whole conversation again, with more at its end.

    It starts after *turns* turns. Raises WrongAnswer if the last turn's process was not found
    although the conversation *goes_on*, or was found although it does not.
    """

    def __init__(self, gateway: Gateway, turns: int, *, goes_on: bool):
        way = "goes on" if goes_on else "begins anew"
        self.name = f"sent again, agent, {turns} turns before, {way}"
        self._gateway = gateway
        self._goes_on = goes_on
        self._count = itertools.count()
        self._messages = [*MESSAGES, {"role": "assistant", "content": EXPECTED}] * turns
        self._messages[0] = {"role": "user", "content": self.name}  # unique to this contender
        self._begun = False

    def prepare(self) -> None:
        if self._goes_on and not self._begun:
            self._begun = True
            self._turn()
        self._gateway.prepare()

    def ask(self) -> Timing:
        timing = self._turn()
        if ("desc=parked" in self._gateway.headers["server-timing"]) is not self._goes_on:
            raise WrongAnswer(f"{self.name}: {self._gateway.headers['server-timing']}")
        return timing

    def close(self) -> None:
        """Do nothing: the gateway is a contender of its own."""

    def _turn(self) -> Timing:
        if not self._goes_on:  # a conversation that is new to the gateway
            self._messages[0] = {"role": "user", "content": f"{self.name}: {next(self._count)}"}
        timing = self._gateway.ask([*self._messages, *MESSAGES], "agent")
        if self._goes_on:
            self._messages += [*MESSAGES, {"role": "assistant", "content": EXPECTED}]
        return timing
