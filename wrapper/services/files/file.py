"""A file that a caller has uploaded, or that a batch has written."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import asdict, dataclass

from wrapper.errors import StoredFileNotFound

FILE_ID = re.compile(r"file-[0-9a-f]{32}")


@dataclass(frozen=True)
class StoredFile:
    """What is known of a file. `name` is what its owner calls it, and never part of a path."""

    id: str
    owner: str
    name: str
    purpose: str
    size: int
    created_at: int
    expires_at: int

    def encode(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def decode(text: str) -> StoredFile:
        return StoredFile(**json.loads(text))


def new_file_id() -> str:
    return f"file-{secrets.token_hex(16)}"


def missing(id_: str) -> StoredFileNotFound:
    """Return the error for a file that its caller does not have."""
    return StoredFileNotFound(
        f"No such file: {id_[:128]!r}. It was deleted, has expired, or belongs to another key.",
        param="file_id",
    )
