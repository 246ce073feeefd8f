"""The event log that the settings choose."""

from __future__ import annotations

from wrapper.services.responses.background.event_log import EventLog
from wrapper.services.responses.background.redis_log import RedisEventLog
from wrapper.services.responses.background.sqlite_log import SqliteEventLog
from wrapper.settings import Settings


def open_event_log(settings: Settings) -> EventLog:
    """Return the log in the Redis of responses, if they have one, or else in the file of jobs."""
    if settings.session_store in ("memory", "none"):
        return SqliteEventLog(settings.jobs_db)
    # Events stay while a turn is silent or waits for approval, and then as long as its job.
    silence = settings.background_timeout / 1000 + settings.approval_timeout
    return RedisEventLog(settings.session_store, ttl=settings.session_ttl + silence)
