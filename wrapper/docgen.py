"""The reference: the code's tables, written out where people read them."""

from __future__ import annotations

import json
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from wrapper.routes.chat import HEADERS
from wrapper.schemas.chat.parameters import Kind, Parameter, parameters_of
from wrapper.schemas.keys import CEILINGS
from wrapper.settings import Settings


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


def ceilings_table() -> str:
    """Return what a key in the keys file may be held to, as a table in Markdown."""
    rows = (f"| `{name}` | {meaning} |\n" for name, meaning in CEILINGS.items())
    return "| ceiling | meaning |\n| --- | --- |\n" + "".join(rows)


def parameters_table() -> str:
    """Return the parameters of a request as a table in Markdown, by what becomes of them."""
    rows = (
        f"| `{name}` | {kind.value} | {_neutral(one)} | {one.meaning} |\n"
        for kind in Kind
        for name, one in parameters_of(kind).items()
    )
    head = "| parameter | is | asks for nothing | meaning |\n| --- | --- | --- | --- |\n"
    return head + "".join(rows)


def written(value: Any) -> str:
    """Return a setting's *value* as one writes it into the environment."""
    if isinstance(value, tuple):
        # A pair is a name and what it stands for.
        return ",".join("=".join(part) if isinstance(part, tuple) else part for part in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def headers_table() -> str:
    """Return the headers of a completion's answer as a table in Markdown."""
    rows = (f"| `{name}` | {meaning} |\n" for name, meaning in HEADERS.items())
    return "| header | meaning |\n| --- | --- |\n" + "".join(rows)


TABLES = {
    "parameters": parameters_table,
    "ceilings": ceilings_table,
    "settings": settings_table,
    "headers": headers_table,
}


def marks(what: str) -> tuple[str, str]:
    """Return the lines of a page between which the table of *what* stands."""
    return f"<!-- {what}: written by `make docs` -->\n", f"<!-- end of {what} -->\n"


def with_tables(text: str) -> str:
    """Return *text*, a page, with the tables that it has between marks brought up to date."""
    for what, table in TABLES.items():
        begin, end = marks(what)
        before, found, rest = text.partition(begin)
        if found:
            text = f"{before}{begin}{table()}{end}{rest.partition(end)[2]}"
    return text


def write(folder: Path) -> None:
    """Bring the pages of docs/ and .env.example in *folder* up to date."""
    for page in folder.glob("docs/*.md"):
        page.write_text(with_tables(page.read_text()))
    (folder / ".env.example").write_text(env_example())


def _rows() -> tuple[Field[Any], ...]:
    return fields(Settings)


def _meaning(row: Field[Any]) -> str:
    return str(row.metadata["meaning"])


def _default(row: Field[Any]) -> str:
    return written(row.default)


def _neutral(parameter: Parameter) -> str:
    return ", ".join(_code(json.dumps(value)) for value in parameter.neutral)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""
