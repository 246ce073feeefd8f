"""The reference: the table of settings, written out for .env.example and the README."""

from __future__ import annotations

from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from wrapper.settings import Settings

BEGIN, END = "<!-- settings: written by `make docs` -->\n", "<!-- end of settings -->\n"


def env_example() -> str:
    """Return the text of .env.example: every setting with its meaning and its default."""
    head = "# Copy to .env and change what you need; the environment wins over this file.\n"
    rows = [f"\n# {_meaning(row)}\n# {row.name.upper()}={_default(row)}\n" for row in _rows()]
    return head + "".join(rows)


def settings_table() -> str:
    """Return the settings as a table in Markdown."""
    head = "| setting | default | meaning |\n| --- | --- | --- |\n"
    rows = (f"| `{r.name.upper()}` | {_code(_default(r))} | {_meaning(r)} |\n" for r in _rows())
    return head + "".join(rows)


def written(value: Any) -> str:
    """Return a setting's *value* as one writes it into the environment."""
    if isinstance(value, tuple):
        # A pair is a name and what it stands for.
        return ",".join("=".join(part) if isinstance(part, tuple) else part for part in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def with_table(text: str) -> str:
    """Return *text*, a README, with the table between its marks brought up to date."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{settings_table()}{END}{after}"


def write(folder: Path) -> None:
    """Bring README.md and .env.example in *folder* up to date."""
    readme = folder / "README.md"
    readme.write_text(with_table(readme.read_text()))
    (folder / ".env.example").write_text(env_example())


def _rows() -> tuple[Field[Any], ...]:
    return fields(Settings)


def _meaning(row: Field[Any]) -> str:
    return str(row.metadata["meaning"])


def _default(row: Field[Any]) -> str:
    return written(row.default)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""
