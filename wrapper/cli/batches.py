"""The commands `batches …`, which show the operator how batches get on."""

from __future__ import annotations

import time
from typing import Any

import click
from flask import current_app
from flask.cli import with_appcontext

from wrapper.cli.group import MISTAKES, Group, refusal
from wrapper.gateway import Gateway
from wrapper.services.batches.service import BatchService
from wrapper.services.batches.view import BatchView

# Seconds between two looks.
LOOK = 1.0

group = Group("batches", help="Show batches.")


@group.command("watch")
@click.argument("batch_id", metavar="ID")
@with_appcontext
def watch(batch_id: str) -> None:
    """Show the progress of a batch of any key, until it has ended."""
    gateway: Gateway | None = current_app.extensions.get("wrapper")
    if gateway is None:
        raise refusal(current_app.extensions[MISTAKES])
    view = _look(gateway.work.batches, batch_id)
    with click.progressbar(length=1, label=view.status, show_pos=True) as bar:
        while not view.job.ended:
            _show(bar, view)
            time.sleep(LOOK)
            view = _look(gateway.work.batches, batch_id)
        _show(bar, view)
    state = view.state
    click.echo(f"{view.status}: {state.completed} answers and {state.failed} errors")


def _look(batches: BatchService, id_: str) -> BatchView:
    view = batches.watch(id_)
    if view is None:
        raise click.ClickException(f"there is no batch {id_[:100]!r}")
    return view


def _show(bar: Any, view: BatchView) -> None:
    bar.label = (
        "paused, as the key's budget is used up" if view.state.facts.get("paused") else view.status
    )
    bar.length = max(1, view.state.total)
    bar.update(view.state.done - bar.pos)
