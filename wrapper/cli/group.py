"""Groups of commands: they report mistakes without a traceback, and one serves by default."""

from __future__ import annotations

import errno
from typing import Any

import click

from wrapper.errors import ApiError
from wrapper.server import ports
from wrapper.settings import SettingsError

DEFAULT = "serve"
# Where an app without a gateway has the mistakes of its settings.
MISTAKES = "wrapper.mistakes"


class Group(click.Group):
    """A group whose commands report wrong settings, and what they cannot use, in a line."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            raise refusal(error) from None
        except ApiError as error:  # as of a store that is away
            raise click.ClickException(error.details or error.message) from None
        except OSError as error:
            if error.errno == errno.EPIPE:  # click handles a reader such as `head` that leaves
                raise
            raise click.ClickException(_system_error(error)) from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of their definition."""
        return list(self.commands)


class ProgramGroup(Group):
    """The program's commands. Without one, or with `serve`'s own arguments, it serves."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Shell completion parses what is typed so far, and that may become any command.
        if not ctx.resilient_parsing and self._serves(ctx, args):
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)

    def _serves(self, ctx: click.Context, args: list[str]) -> bool:
        if not args or args[0].isdigit():
            return True
        own = {option for parameter in self.get_params(ctx) for option in parameter.opts}
        return args[0].startswith("-") and args[0] not in own


def port(text: str) -> int:
    """Return the number of a port, as a type of an argument."""
    if text.isascii() and text.isdigit() and len(text) < 6 and int(text) <= ports.HIGHEST:
        return int(text)
    raise click.BadParameter(f"{text[:20]!r} is not a port; give a number from 0 to 65535")


def refusal(error: SettingsError) -> click.ClickException:
    """Return the exception that makes click print every mistake."""
    return click.ClickException("\n  ".join(("these settings are wrong:", *error.mistakes)))


def _system_error(error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason
