"""The program `claude-code-gateway`: it serves the gateway, checks it and manages its keys."""

from __future__ import annotations

import sys

import click
from flask import Flask
from flask.cli import ScriptInfo

from wrapper import smoke
from wrapper.app import create_app
from wrapper.cli import batches, commands, group, keys, worker
from wrapper.server import application
from wrapper.settings import SettingsError
from wrapper.version import __version__

EPILOG = """\b
Settings come from the environment and from .env in the current directory.
For completion in bash, add this line to ~/.bashrc; zsh and fish have theirs:
  eval "$(_CLAUDE_CODE_GATEWAY_COMPLETE=bash_source claude-code-gateway)"
"""
PORT = click.argument("port", type=group.port, required=False)


@click.group(
    cls=group.ProgramGroup,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def program(context: click.Context) -> None:
    """Let Claude Code answer clients of OpenAI's API.

    Without a command it serves.
    """
    # The commands that need a gateway get it as those of `flask` do.
    context.obj = ScriptInfo(create_app=_app)


@program.command("serve")
@PORT
@click.option("--reload", is_flag=True, help="Restart when code changes.")
def serve(port: int | None, reload: bool) -> None:
    """Serve on HOST and PORT (the default command).

    PORT defaults to the setting of that name, 8000. If it is taken, the next free one is used.
    """
    application.serve(port, reload)


@program.command("demo")
@PORT
def demo(port: int | None) -> None:
    """Serve a scripted model, without account and network.

    It prints commands to try. Only the model is scripted: gateway and Claude Code are real.
    """
    # Imported here, because no other command needs it.
    from wrapper.testing import demo as scripted

    sys.exit(scripted.main(port))


program.add_command(worker.work)
program.add_command(batches.group)
program.add_command(commands.examine)


@program.command("smoke")
@click.argument("url", default="http://127.0.0.1:8000")
def check_server(url: str) -> None:
    """Check every route of the running server at URL.

    URL defaults to http://127.0.0.1:8000. The key is API_KEY, from the
    environment or .env.
    """
    sys.exit(smoke.main([url]))


program.add_command(keys.group)
program.add_command(commands.list_models)
program.add_command(commands.list_settings)


def main() -> None:
    """Run the program with its arguments, and exit."""
    program()


def _app() -> Flask:
    """Return the app that commands work on. With wrong settings it has no gateway."""
    try:
        return create_app()
    except SettingsError as error:
        return commands.app_without_gateway(error)


if __name__ == "__main__":
    main()
