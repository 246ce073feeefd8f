"""The work for which no client waits: jobs, batches, and responses in the background."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wrapper.json_text import Bytes
from wrapper.routes.headers import note_headers
from wrapper.routes.in_process import InProcessClient
from wrapper.services.batches.service import BatchService
from wrapper.services.jobs.reports import Ended
from wrapper.services.jobs.service import Jobs
from wrapper.services.key_data import Delete
from wrapper.services.responses.background.event_logs import open_event_log
from wrapper.services.responses.background.runner import ResponseRunner
from wrapper.services.responses.background.service import KIND, BackgroundResponses
from wrapper.services.responses.background.turns import Turns
from wrapper.services.responses.service import ResponseService
from wrapper.settings import Settings


@dataclass(frozen=True)
class Work:
    """The jobs, and what they run by requests of the `client` to the gateway's own routes."""

    client: InProcessClient
    jobs: Jobs
    batches: BatchService
    responses: BackgroundResponses

    def health(self) -> dict[str, Any]:
        """Return the health of the jobs, and how many lines of batches wait."""
        health = self.jobs.health()
        return {**health, "lines_waiting": self.batches.lines_waiting} if health else {}

    def deletes(self) -> Mapping[str, Delete]:
        """Return what deletes all of a key, by kind."""
        return {
            "background_responses": self.responses.delete_all,
            "batches": self.batches.delete_all,
        }

    def abandon(self) -> None:
        """Give the jobs that run back to the queue, for another process."""
        self.jobs.abandon()
        self.responses.close()

    def close(self) -> None:
        self.jobs.close()
        self.batches.close()


def open_background_responses(
    settings: Settings,
    responses: ResponseService,
    jobs: Jobs,
    turns: Turns,
    load: Callable[[Bytes], Any],
    ended: Ended,
) -> BackgroundResponses:
    """Return the service of responses in the background, which *jobs* run from now on.

    *load* loads the body of a request, and *ended* reports that one of them has ended.
    """
    events = open_event_log(settings)
    runner = ResponseRunner(responses, turns, events, load, note_headers, settings)
    jobs.handle(KIND, runner.run, ended)
    return BackgroundResponses(responses, jobs, events, turns, load, ttl=settings.session_ttl)
