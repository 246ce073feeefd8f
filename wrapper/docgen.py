"""Write the tables of docs/ and .env.example from the code."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import Field, fields
from functools import partial
from pathlib import Path
from typing import Any

from wrapper.routes.headers import ANSWER
from wrapper.schemas.chat.parameters import PARAMETERS as CHAT_PARAMETERS
from wrapper.schemas.completions.parameters import PARAMETERS as COMPLETIONS_PARAMETERS
from wrapper.schemas.keys import CEILINGS
from wrapper.schemas.messages.parameters import PARAMETERS as MESSAGES_PARAMETERS
from wrapper.schemas.parameters import Kind, Parameter, ParameterTable
from wrapper.schemas.responses.parameters import PARAMETERS as RESPONSES_PARAMETERS
from wrapper.services.webhooks.event import TYPES
from wrapper.settings import Settings, env_text


def env_example() -> str:
    """Return the text of .env.example: every setting with its meaning and default."""
    head = "# Copy to .env and change what you need. The environment overrides this file.\n"
    rows = [f"\n# {_meaning(row)}\n# {row.name.upper()}={_default(row)}\n" for row in _rows()]
    return head + "".join(rows)


def settings_table() -> str:
    """Return the settings as a table in Markdown."""
    head = "| setting | default | meaning |\n| --- | --- | --- |\n"
    rows = (f"| `{r.name.upper()}` | {_code(_default(r))} | {_meaning(r)} |\n" for r in _rows())
    return head + "".join(rows)


def ceilings_table() -> str:
    """Return the ceilings that a key may have in the keys file, as a table in Markdown."""
    rows = (f"| `{name}` | {meaning} |\n" for name, meaning in CEILINGS.items())
    return "| ceiling | meaning |\n| --- | --- |\n" + "".join(rows)


def events_table() -> str:
    """Return the types of webhooks' events, as a table in Markdown."""
    rows = (f"| `{row.name}` | {row.meaning} | {row.goes_to} |\n" for row in TYPES.values())
    return "| type | meaning | goes to |\n| --- | --- | --- |\n" + "".join(rows)


def parameters_table(parameters: ParameterTable) -> str:
    """Return the parameters of a request, grouped by kind, as a table in Markdown."""
    rows = (
        f"| `{name}` | {kind.value} | {_neutral(parameter)} | {parameter.meaning} |\n"
        for kind in Kind
        for name, parameter in parameters.of(kind).items()
    )
    head = "| parameter | is | asks for nothing | meaning |\n| --- | --- | --- | --- |\n"
    return head + "".join(rows)


def headers_table() -> str:
    """Return the headers of a completion as a table in Markdown."""
    rows = (f"| `{name}` | {meaning} |\n" for name, meaning in ANSWER.items())
    return "| header | meaning |\n| --- | --- |\n" + "".join(rows)


TABLES: dict[str, Callable[[], str]] = {
    "parameters": partial(parameters_table, CHAT_PARAMETERS),
    "messages parameters": partial(parameters_table, MESSAGES_PARAMETERS),
    "completions parameters": partial(parameters_table, COMPLETIONS_PARAMETERS),
    "responses parameters": partial(parameters_table, RESPONSES_PARAMETERS),
    "ceilings": ceilings_table,
    "settings": settings_table,
    "headers": headers_table,
    "events": events_table,
}


def markers(name: str) -> tuple[str, str]:
    """Return the lines before and after the table *name* in a page."""
    return f"<!-- {name}: written by `make docs` -->\n", f"<!-- end of {name} -->\n"


def with_tables(text: str) -> str:
    """Return the *text* of a page with the tables between its markers brought up to date."""
    for name, table in TABLES.items():
        begin, end = markers(name)
        before, marker, rest = text.partition(begin)
        if marker:
            text = f"{before}{begin}{table()}{end}{rest.partition(end)[2]}"
    return text


def write(folder: Path) -> None:
    """Bring .env.example and the pages of docs/ in *folder* up to date."""
    for page in folder.glob("docs/*.md"):
        page.write_text(with_tables(page.read_text()))
    (folder / ".env.example").write_text(env_example())


def _rows() -> tuple[Field[Any], ...]:
    return fields(Settings)


def _meaning(row: Field[Any]) -> str:
    return str(row.metadata["meaning"])


def _default(row: Field[Any]) -> str:
    return env_text(row.default)


def _neutral(parameter: Parameter) -> str:
    return ", ".join(_code(json.dumps(value)) for value in parameter.neutral)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""
