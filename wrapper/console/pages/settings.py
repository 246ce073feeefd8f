"""The settings that are in force, where they come from, and what differs from the default."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from flask import Blueprint, Response

from wrapper.console.page import show as show_template
from wrapper.routes.context import current_gateway
from wrapper.settings import Settings, env_text, masked, origin_of

settings_page = Blueprint("settings", __name__, url_prefix="/settings")


@dataclass(frozen=True)
class Row:
    """A setting as the page shows it. `origin` is empty where nobody has set it."""

    name: str
    value: str
    default: str
    meaning: str
    origin: str
    differs: bool


@settings_page.get("")
def show() -> Response:
    """Show every setting, without what is secret."""
    settings: Settings = current_gateway().settings
    rows = list(_rows(settings))
    changed = [row for row in rows if row.differs]
    return show_template("settings.html", {"changed": changed, "rows": rows})


def _rows(settings: Settings) -> Iterator[Row]:
    origin = origin_of(settings)
    for field in fields(Settings):
        name, value = field.name.upper(), getattr(settings, field.name)
        differs = value != field.default
        yield Row(
            name=name,
            value=masked(field, env_text(value)),
            default=env_text(field.default),
            meaning=field.metadata["meaning"],
            origin=origin(name) or ("the gateway, for this machine" if differs else ""),
            differs=differs,
        )
