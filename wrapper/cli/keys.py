"""The commands for the keys file: `claude-code-gateway keys new|list|revoke`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import click

from wrapper.auth import key_editor, key_file
from wrapper.cli.group import Group
from wrapper.schemas.keys import CEILINGS
from wrapper.services.principal import Principal
from wrapper.services.tools.config import ToolConfig
from wrapper.settings import SettingsError, environment

group = Group("keys", help="Manage the callers' keys in API_KEYS_FILE.")


@group.command("new")
@click.argument("name")
def new(name: str) -> None:
    """Make a key for NAME and print it. It is shown only once, and alone on stdout."""
    with _file() as path:
        key = key_editor.add(path, name)
    click.echo(f"The key of {name} is shown only once. Set its ceilings in {path}.", err=True)
    click.echo(key)


@group.command("list")
def list_keys() -> None:
    """Print a line for each key: its name and ceilings."""
    with _file() as path:
        # Without the settings: the gateway and its doctor check ALLOW_BYPASS, this prints the file.
        principals = key_file.KeyFile(path).principals()
    for principal in principals:
        click.echo(_line(principal))


@group.command("revoke")
@click.argument("name")
def revoke(name: str) -> None:
    """Remove the key of NAME. A running gateway refuses it at once."""
    with _file() as path:
        key_editor.remove(path, name)
    click.echo(f"The key of {name} is revoked.", err=True)


@contextlib.contextmanager
def _file() -> Iterator[str]:
    """Yield the path of the keys file, and report its mistakes without a traceback."""
    try:
        yield _path()
    except SettingsError as error:
        raise click.ClickException("\n  ".join(error.mistakes)) from None


def _path() -> str:
    if path := environment().get("API_KEYS_FILE", "").strip():
        return path
    raise click.ClickException(
        "API_KEYS_FILE is not set; set API_KEYS_FILE=keys.toml in the environment or in .env"
    )


def _line(principal: Principal) -> str:
    values = {name: getattr(principal, name) for name in CEILINGS}
    default = Principal(principal.name)
    ceilings = (
        f"{name}={json.dumps(value, ensure_ascii=False, default=ToolConfig.limits)}"
        for name, value in values.items()
        if value != getattr(default, name)
    )
    return " ".join((principal.name, *ceilings))
