"""The command `keys delete-data`, which deletes all that a key has stored."""

from __future__ import annotations

import click
from flask import current_app
from flask.cli import with_appcontext

from wrapper.cli.group import MISTAKES, refusal
from wrapper.gateway import Gateway
from wrapper.services.principal import NAME, Principal
from wrapper.settings import Settings

OPERATOR = Principal("operator", admin=True)


@click.command("delete-data")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@with_appcontext
def delete_data(name: str, *, yes: bool) -> None:
    """Delete all that the key of NAME has stored, and print how much that was.

    The key may be revoked, and should be: what a valid key sends meanwhile is stored. What it has
    spent stays. If a store cannot be used, the command says what is left; run it again.
    """
    if not NAME.fullmatch(name):
        raise click.BadParameter(f"{name[:80]!r} is no name of a key", param_hint="NAME")
    gateway: Gateway | None = current_app.extensions.get("wrapper")
    if gateway is None:
        raise refusal(current_app.extensions[MISTAKES])
    if not yes:
        click.confirm(f"Delete all that the key of {name} has stored?", abort=True, err=True)
    try:
        _delete(gateway, name)
    finally:
        gateway.close()


def _delete(gateway: Gateway, name: str) -> None:
    deletion = gateway.key_data.delete(name, OPERATOR)
    for kind, count in deletion.deleted.items():
        click.echo(f"{kind}: {count}")
    if gateway.guard.principal(name):
        click.echo(f"The key of {name} is valid: what it sends is stored again.", err=True)
    if _may_miss_memory(gateway.settings):
        click.echo(
            "If a gateway runs, it may have more in its memory, which only it can delete: by "
            f"DELETE /v1/keys/{name}/data, or in its console. Or restart it.",
            err=True,
        )
    if deletion.left:
        left = (f"{kind}: {why}" for kind, why in deletion.left.items())
        raise click.ClickException("\n  ".join(("this is left; run the command again:", *left)))


def _may_miss_memory(settings: Settings) -> bool:
    """Say whether a gateway may keep turns or data where other processes cannot reach them."""
    shared = "://" in settings.session_store or settings.redis_url
    return settings.session_store == "memory" or not shared
