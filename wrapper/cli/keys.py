"""The commands for the keys file: `flask --app wsgi gateway keys new|list|revoke`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import click
from flask.cli import AppGroup

from wrapper.auth import key_editor, key_file
from wrapper.auth.key_file import KeysError
from wrapper.schemas.keys import CEILINGS
from wrapper.services.principal import Principal
from wrapper.settings import environment

group = AppGroup("keys", help="Look after the keys of a team, in the file of API_KEYS_FILE.")


@group.command("new")
@click.argument("name")
def new(name: str) -> None:
    """Make a key for NAME, and print it: once, and alone on stdout."""
    with _file() as path:
        key = key_editor.add(path, name)
    click.echo(f"The key of {name}; it is shown this once. Ceilings go into {path}.", err=True)
    click.echo(key)


@group.command("list")
def list_keys() -> None:
    """Print who has a key, a line for each, with the ceilings."""
    with _file() as path:
        # Of ALLOW_BYPASS the gateway and its doctor tell; here is told what stands in the file.
        principals = key_file.KeyFile(path).principals()
    for principal in principals:
        click.echo(_line(principal))


@group.command("revoke")
@click.argument("name")
def revoke(name: str) -> None:
    """Take the key of NAME away; a gateway that is running refuses it at once."""
    with _file() as path:
        key_editor.remove(path, name)
    click.echo(f"The key of {name} is revoked.", err=True)


@contextlib.contextmanager
def _file() -> Iterator[str]:
    """Give the path of the keys file; what goes wrong with it is told without a traceback."""
    path = environment().get("API_KEYS_FILE")
    if not path:
        raise click.ClickException(
            "API_KEYS_FILE is not set; set API_KEYS_FILE=keys.toml in the environment or in .env"
        )
    try:
        yield path
    except KeysError as error:
        raise click.ClickException("\n  ".join(error.mistakes)) from None


def _line(principal: Principal) -> str:
    given = {name: getattr(principal, name) for name in CEILINGS}
    told = (
        f"{name}={json.dumps(value, ensure_ascii=False)}"
        for name, value in given.items()
        if value is not None and value is not False
    )
    return " ".join((principal.name, *told))
