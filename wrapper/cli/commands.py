"""The commands doctor, models, settings and keys, which are also those of `flask … gateway`."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import NoReturn

import click
from flask import Flask, current_app
from flask.cli import FlaskGroup, with_appcontext

from wrapper.cli import batches, doctor, keys, qualification, worker
from wrapper.cli.group import MISTAKES, Group, refusal
from wrapper.gateway import Gateway
from wrapper.settings import Settings, SettingsError, env_text, environment, load, masked
from wrapper.storage_checks import Finding, Level

STOPPING = (signal.SIGTERM, signal.SIGINT)

group = Group("gateway", help="Manage the gateway.")
group.add_command(keys.group)
group.add_command(batches.group)
group.add_command(worker.work)


def app_for_flask(error: SettingsError) -> Flask:
    """Return an app for `flask`, which looks for commands there, although the settings are wrong.

    Other callers, such as a server, get the *error* raised.
    """
    context = click.get_current_context(silent=True)
    if context is None or not isinstance(context.find_root().command, FlaskGroup):
        raise error
    if context.parent:  # a command of `flask` itself, such as `run`
        raise refusal(error)
    return app_without_gateway(error)


def app_without_gateway(error: SettingsError) -> Flask:
    """Return an app whose commands report wrong settings."""
    app = Flask(__name__, static_folder=None)
    app.extensions[MISTAKES] = error
    app.cli.add_command(group)
    return app


@group.command("doctor")
@click.option(
    "--qualify", is_flag=True, help="Only try again whether Claude Code does what is relied on."
)
@with_appcontext
def examine(*, qualify: bool) -> None:
    """Check whether the gateway can serve, and say what to do if not.

    The checks are of the settings, the CLI, the login, a turn, stores, directories and the port.
    """
    good = True
    with _silent_gateway() as gateway:
        for finding in _qualify(gateway) if qualify else _findings(gateway):
            click.echo(str(finding))
            good = good and finding.level is not Level.FAILED
    if gateway is None and not qualify:
        click.echo("A turn can be tried once nothing of this fails.")
    if not good:
        sys.exit(1)


@group.command("models")
@with_appcontext
def list_models() -> None:
    """Print the models that a request may name."""
    with _silent_gateway() as gateway:
        if gateway is None:
            _fail()
        # This asks Claude Code for its models.
        if error := gateway.engine.describe()["cli"]["error"]:
            raise click.ClickException(error)
        for model in gateway.catalog.models():
            click.echo(model.id)


@group.command("settings")
@with_appcontext
def list_settings() -> None:
    """Print every setting: its name, value, default and meaning."""
    gateway: Gateway | None = current_app.extensions.get("wrapper")
    settings = gateway.settings if gateway else _load()
    for row in fields(Settings):
        value = env_text(getattr(settings, row.name))
        click.echo(f"{row.name.upper()}={masked(row, value)}")
        click.echo(f"    default: {env_text(row.default) or '(empty)'}")
        click.echo(f"    {row.metadata['meaning']}")
    if gateway is None:
        _fail()


def _load() -> Settings:
    """Return the settings, if only something else is wrong, such as a file that they name."""
    try:
        return load()
    except SettingsError:
        _fail()


def _findings(gateway: Gateway | None) -> Iterator[Finding]:
    if gateway:
        return doctor.examine(gateway)
    return doctor.examine_without(current_app.extensions[MISTAKES], _environment())


def _qualify(gateway: Gateway | None) -> Iterator[Finding]:
    return qualification.qualify(gateway.settings if gateway else _load(), _environment())


def _environment() -> Mapping[str, str]:
    """Return the environment, without what a broken file would add."""
    try:
        return environment()
    except SettingsError:
        return os.environ


@contextlib.contextmanager
def _silent_gateway() -> Iterator[Gateway | None]:
    """Yield the app's gateway, if it has one, and close it at the end, also on SIGTERM and SIGINT.

    The log is silent meanwhile, because the command itself reports what fails.
    """
    gateway: Gateway | None = current_app.extensions.get("wrapper")
    previous_handlers = {number: signal.signal(number, _exit) for number in STOPPING}
    logging.disable(logging.CRITICAL)
    try:
        yield gateway
    finally:
        if gateway:
            gateway.close()
        logging.disable(logging.NOTSET)
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)


def _exit(number: int, frame: object) -> NoReturn:
    """Exit with a shell's status for the signal.

    A KeyboardInterrupt that Python raises while it executes a string, as for each dataclass that a
    late import defines, would kill the program after it was handled.
    """
    sys.exit(128 + number)


def _fail() -> NoReturn:
    raise refusal(current_app.extensions[MISTAKES])
