"""Key files with the keys of several callers."""

from __future__ import annotations

from pathlib import Path

from wrapper.auth import key_editor


def add_keys(file: Path, *names: str, admin: str = "") -> dict[str, str]:
    """Add a key for each of *names* to *file*, and return the secrets by name."""
    secrets = {name: key_editor.add(file, name) for name in names}
    if admin:
        key_editor.limit(file, admin, {"admin": True})
    return secrets
