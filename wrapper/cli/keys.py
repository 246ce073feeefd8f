"""The commands for the keys file: `keys new|list|webhook|revoke|delete-data`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import click
from marshmallow import ValidationError

from wrapper.auth import key_editor, key_file
from wrapper.cli.group import Group
from wrapper.cli.key_data import delete_data
from wrapper.schemas.keys import CEILINGS, WEBHOOK
from wrapper.services.principal import Principal
from wrapper.services.tools.config import ToolConfig
from wrapper.settings import SettingsError, environment
from wrapper.settings.columns import has_home
from wrapper.settings.webhooks import shown_url

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


@group.command("webhook")
@click.argument("name")
@click.argument("url", required=False)
@click.option("--remove", is_flag=True, help="Remove the webhook instead.")
def webhook(name: str, url: str | None, remove: bool) -> None:
    """Send the events of NAME's key to URL, and print the new secret that signs them.

    It is alone on stdout. A running gateway uses the new URL and secret at once.
    """
    if bool(url) == remove:
        raise click.UsageError("name either a URL or --remove")
    with _file() as path:
        secret = key_editor.set_webhook(path, name, url)
    if url:
        click.echo(f"The events of {name} are signed with this secret.", err=True)
        click.echo(secret)
    else:
        click.echo(f"The key of {name} has no webhook any more.", err=True)


@group.command("revoke")
@click.argument("name")
@click.option("--delete-data", "deletes", is_flag=True, help="Delete all that it has stored, too.")
@click.pass_context
def revoke(ctx: click.Context, name: str, *, deletes: bool) -> None:
    """Remove the key of NAME. A running gateway refuses it at once."""
    with _file() as path:
        key_editor.remove(path, name)
    click.echo(f"The key of {name} is revoked.", err=True)
    if deletes:
        ctx.invoke(delete_data, name=name, yes=True)


group.add_command(delete_data)


@contextlib.contextmanager
def _file() -> Iterator[str]:
    """Yield the path of the keys file, and report its mistakes without a traceback."""
    try:
        yield _path()
    except SettingsError as error:
        raise click.ClickException("\n  ".join(error.mistakes)) from None


def _path() -> str:
    path = environment().get("API_KEYS_FILE", "").strip()
    if not path:
        raise click.ClickException(
            "API_KEYS_FILE is not set; set API_KEYS_FILE=keys.toml in the environment or in .env"
        )
    try:
        has_home(path)
    except ValidationError as error:
        raise click.ClickException(f"API_KEYS_FILE: {error.messages[0]}") from None
    return path


def _line(principal: Principal) -> str:
    values = {name: getattr(principal, name) for name in CEILINGS if name not in WEBHOOK}
    if principal.webhook_url:
        values["webhook_url"] = shown_url(principal.webhook_url)
    default = Principal(principal.name)
    ceilings = (
        f"{name}={json.dumps(value, ensure_ascii=False, default=ToolConfig.limits)}"
        for name, value in values.items()
        if value != getattr(default, name)
    )
    return " ".join((principal.name, *ceilings))
