"""The commands: `flask --app wsgi gateway doctor|models|settings|keys`."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
from collections.abc import Iterator
from dataclasses import fields
from typing import NoReturn

import click
from flask import Flask, current_app
from flask.cli import AppGroup

from wrapper.cli import doctor, keys
from wrapper.docgen import written
from wrapper.gateway import Gateway
from wrapper.settings import Settings, SettingsError, environment

MASK = "********"
MISTAKES = "wrapper.mistakes"

group = AppGroup("gateway", help="Look after the gateway.")
group.add_command(keys.group)


def commands_alone(error: SettingsError) -> Flask:
    """Return an app without a gateway, for commands that tell of wrong settings.

    Only `flask` gets it, and only to look for a command in it: who would serve gets the *error*.
    """
    context = click.get_current_context(silent=True)
    if context is None:
        raise error
    if context.parent:
        raise _refusal(error)
    app = Flask(__name__, static_folder=None)
    app.extensions[MISTAKES] = error
    app.cli.add_command(group)
    return app


@group.command("doctor")
def examine() -> None:
    """Check whether the gateway could serve: the CLI, the login, a turn, the port, directories."""
    good = True
    with _at_work() as gateway:
        for finding in _findings(gateway):
            click.echo(str(finding))
            good = good and finding.good
    if gateway is None:
        click.echo("The turn and the address are checked once the settings are right.")
    if not good:
        sys.exit(1)


@group.command("models")
def list_models() -> None:
    """Print the names that a request may give as its model."""
    with _at_work() as gateway:
        if gateway is None:
            _give_up()
        gateway.engine.describe()  # until then Claude Code has not been asked for its models
        for model in gateway.catalog.models():
            click.echo(model.id)


@group.command("settings")
def list_settings() -> None:
    """Print every setting: its name, value, default and meaning."""
    gateway: Gateway | None = current_app.extensions.get("wrapper")
    if gateway is None:
        _give_up()
    for row in fields(Settings):
        value = getattr(gateway.settings, row.name)
        shown = MASK if value and not row.repr else written(value)
        click.echo(f"{row.name.upper()}={shown}")
        click.echo(f"    default: {written(row.default) or '(empty)'}")
        click.echo(f"    {row.metadata['meaning']}")


def _findings(gateway: Gateway | None) -> Iterator[doctor.Finding]:
    if gateway:
        return doctor.examine(gateway)
    return doctor.examine_without(current_app.extensions[MISTAKES], environment())


@contextlib.contextmanager
def _at_work() -> Iterator[Gateway | None]:
    """Give the app's gateway, if it has one, and close it whatever happens.

    The log is silent meanwhile: what fails is told.
    """
    gateway: Gateway | None = current_app.extensions.get("wrapper")
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    logging.disable(logging.CRITICAL)
    try:
        yield gateway
    finally:
        if gateway:
            gateway.close()
        logging.disable(logging.NOTSET)
        signal.signal(signal.SIGTERM, before)


def _give_up() -> NoReturn:
    raise _refusal(current_app.extensions[MISTAKES])


def _refusal(error: SettingsError) -> click.ClickException:
    return click.ClickException("\n  ".join(("these settings are wrong:", *error.mistakes)))
