"""stub"""

from typing import Any


class Ledger:
    def __init__(self, store: Any, *, required: bool):
        self.rows: list[Any] = []

    def add(self, *a: Any) -> None:
        self.rows.append(a)

    def today(self) -> str:
        return "2026-11-26"

    def check(self, p: Any) -> None: ...
    def health(self) -> dict[str, Any]:
        return {"status": "ok", "unbooked": 0}

    def close(self) -> None: ...


def open_store(s: Any) -> Any:
    return None
