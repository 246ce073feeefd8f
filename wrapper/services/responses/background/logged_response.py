"""A response in the background, as its logged events say it is."""

from __future__ import annotations

import json

from wrapper.json_text import Json
from wrapper.services.fronts.response_fold import ENDS, ResponseFold
from wrapper.services.jobs.job import JobState, JobStatus
from wrapper.services.responses.background.event_log import EventLog
from wrapper.services.responses.background.runner import FIRST


class LoggedResponse:
    """The *queued* response with what its events in *log* add. Each event is read once."""

    def __init__(self, log: EventLog, queued: Json):
        self._log = log
        self._queued = queued
        self._fold = ResponseFold(queued)
        self._after = FIRST - 1
        self._last: Json | None = None

    def at(self, state: JobState) -> Json:
        """Return the response as its job's *state* and its new events say it is."""
        if state.status is JobStatus.QUEUED:
            return self._queued
        self._update()
        if self._last and self._last["type"] in ENDS:
            ended: Json = self._last["response"]
            return ended
        return self._fold.running() if state.ended_at is None else self._ended(state)

    def end(self, state: JobState) -> Json | None:
        """Return the event that ends the stream, as *state* says; None if the log has one."""
        self._update()
        if self._last and self._last["type"] in ENDS:
            return None
        number = self._last["sequence_number"] + 1 if self._last else FIRST
        kind, response = f"response.{state.status}", self._ended(state)
        return {"type": kind, "response": response, "sequence_number": number}

    def _ended(self, state: JobState) -> Json:
        """Return the response, which has ended early as its job's *state* says."""
        error = state.error
        reason = {"code": error["code"], "message": error["message"]} if error else None
        return self._fold.ended(state.status, reason)

    def _update(self) -> None:
        """Read the events that are new. Raises Unavailable."""
        while events := self._log.read(self._queued["id"], self._after):
            for event in events:
                self._last = json.loads(event.text)
                self._fold.add(self._last)
            self._after = events[-1].number
