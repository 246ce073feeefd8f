"""The newsletter: a job that asks the gateway, without a server or a request."""

from __future__ import annotations

import click
from flask import current_app
from flask.cli import with_appcontext

from claude_code_gateway import ApiError, Caller, Gateway, Principal
from shop.teas import TEAS

NEWSLETTER = Principal("shop.newsletter", profile="plain", usd_per_day=1)


@click.command("write-newsletter")
@with_appcontext
def write_newsletter() -> None:
    """Print this week's newsletter."""
    gateway: Gateway = current_app.extensions["wrapper"]
    teas = ", ".join(tea.title for tea in TEAS.values())
    messages = [{"role": "user", "content": f"Write three sentences about our teas: {teas}."}]
    with gateway:  # its processes end with the job
        try:
            answer = gateway.chat.complete(messages, caller=Caller(NEWSLETTER, "newsletter"))
        except ApiError as error:
            raise click.ClickException(error.message) from None
    click.echo(answer.text)
