"""The stores of what callers leave in the gateway: sessions, approvals, responses and files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wrapper.schemas.responses.items import load_stored_item
from wrapper.services.approvals.service import ApprovalService
from wrapper.services.engine import Engine
from wrapper.services.files.service import FileService, open_files
from wrapper.services.key_data import Delete
from wrapper.services.responses.service import ResponseService, open_responses
from wrapper.services.responses.store import ResponseStore
from wrapper.services.sessions.service import SessionService, open_sessions
from wrapper.services.sessions.store import SessionStore
from wrapper.settings import Settings


@dataclass(frozen=True)
class Stores:
    """The services that keep what callers leave. Without `sessions`, nothing keeps any."""

    sessions: SessionService | None
    approvals: ApprovalService
    responses: ResponseService
    files: FileService

    def health(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the names of the stores that can fail, with their health."""
        if self.sessions:
            yield "sessions", self.sessions.health()
        if health := self.responses.health():
            yield "responses", health

    def deletes(self) -> Mapping[str, Delete]:
        """Return what deletes all of a key, by kind."""
        deletes: dict[str, Delete] = {
            "approvals": self.approvals.delete_all,
            "responses": self.responses.delete_all,
            "files": self.files.delete_all,
        }
        return {**deletes, "sessions": self.sessions.delete_all} if self.sessions else deletes

    def start(self) -> None:
        if self.sessions:
            self.sessions.start()
        self.responses.health()  # lets the store begin to check that it can be reached
        self.files.start()

    def close(self) -> None:
        if self.sessions:
            self.sessions.close()
        self.responses.close()
        self.files.close()
        self.approvals.close()


def open_stores(
    settings: Settings,
    engine: Engine,
    approvals: ApprovalService,
    sessions: SessionStore | None,
    responses: ResponseStore | None,
) -> Stores:
    """Return the services on *sessions* and *responses*, or on the stores of *settings*."""
    return Stores(
        open_sessions(settings, engine, sessions),
        approvals,
        open_responses(settings, load_stored_item, approvals, responses),
        open_files(settings),
    )
