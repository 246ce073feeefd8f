"""The shop's session store, in SQLite. It implements the gateway's SessionStore."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from wrapper.errors import Conflict
from wrapper.services.sessions.codec import (
    decode_head,
    decode_messages,
    encode_head,
    encode_messages,
)
from wrapper.services.sessions.session import Session, SessionInfo


class ShopClaim:
    """The right to a session's next turn."""

    def __init__(self, store: ShopStore, key: tuple[str, str], session: Session | None):
        self.store, self.key, self.session = store, key, session

    def save(self, session: Session) -> None:
        self.store.put(self, session)

    def release(self) -> None:
        self.store.release(self)


class ShopStore:
    """Sessions in SQLite, and their claims in this process."""

    def __init__(self, ttl: float, clock: Callable[[], float], file: str = ":memory:"):
        self.ttl, self.clock = ttl, clock
        self.database = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self.database.execute(
            "CREATE TABLE IF NOT EXISTS sessions (owner TEXT, id TEXT, used REAL, head BLOB, "
            "messages BLOB, PRIMARY KEY (owner, id))"
        )
        self.claims: dict[tuple[str, str], ShopClaim] = {}
        self.changed = threading.Condition()

    def claim(self, owner: str, id_: str, seconds: float) -> ShopClaim | None:
        key = (owner, id_)
        with self.changed:
            if not self.changed.wait_for(lambda: key not in self.claims, seconds):
                return None
            self.claims[key] = ShopClaim(self, key, self.find(key))
            return self.claims[key]

    def read(self, owner: str, id_: str) -> Session | None:
        with self.changed:
            return self.find((owner, id_))

    def heads(self, owner: str) -> Sequence[SessionInfo]:
        with self.changed:
            rows = self.database.execute("SELECT id FROM sessions WHERE owner = ?", (owner,))
            sessions = [self.find((owner, id_)) for (id_,) in rows.fetchall()]
        return sorted((each.head for each in sessions if each), key=lambda head: head.created)

    def delete(self, owner: str, id_: str) -> SessionInfo | None:
        with self.changed:
            session = self.find((owner, id_))
            if session:
                self.drop((owner, id_))
                self.claims.pop((owner, id_), None)
                self.changed.notify_all()
            return session.head if session else None

    def health(self) -> dict[str, Any]:
        return {"status": "ok"}

    def close(self) -> None:
        self.database.close()

    def put(self, claim: ShopClaim, session: Session) -> None:
        with self.changed:
            if self.claims.get(claim.key) is not claim:
                raise Conflict("The session is gone.", code="session_deleted", retry=False)
            blobs = encode_head(session.head), encode_messages(session.messages)
            self.database.execute(
                "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?)",
                (*claim.key, session.head.used, *blobs),
            )
            claim.session = session

    def release(self, claim: ShopClaim) -> None:
        with self.changed:
            if self.claims.get(claim.key) is not claim:
                return
            del self.claims[claim.key]
            self.touch(claim.key)
            self.changed.notify_all()

    def find(self, key: tuple[str, str]) -> Session | None:
        rows = self.database.execute(
            "SELECT used, head, messages FROM sessions WHERE owner = ? AND id = ?", key
        )
        for used, head, messages in rows.fetchall():
            if used + self.ttl > self.clock() or key in self.claims:
                return Session(replace(decode_head(head), used=used), decode_messages(messages))
            self.drop(key)
        return None

    def touch(self, key: tuple[str, str]) -> None:
        used = (self.clock(), *key)
        self.database.execute("UPDATE sessions SET used = ? WHERE owner = ? AND id = ?", used)

    def drop(self, key: tuple[str, str]) -> None:
        self.database.execute("DELETE FROM sessions WHERE owner = ? AND id = ?", key)
