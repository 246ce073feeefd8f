"""The program `python -m wrapper [--reload] [PORT]`, which serves with gunicorn."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

from gunicorn.app.base import BaseApplication
from gunicorn.util import make_fail_app

from wrapper import start_checks
from wrapper.server import ports
from wrapper.server.config import configuration, refuse
from wrapper.settings import SettingsError


class Program(BaseApplication):
    """gunicorn with the gateway's settings. *reload* restarts the worker when code changes."""

    def __init__(self, reload: bool):
        self._reload = reload
        super().__init__()

    def load_config(self) -> None:
        for name, value in {**configuration(), "reload": self._reload}.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Return the app. With --reload, an app that fails to load answers with its traceback."""
        try:
            # Imported here: with --reload, the worker has dropped the modules that were imported.
            return importlib.import_module("wrapper").create_app()
        except Exception:
            if not self._reload:
                raise
            traceback.print_exc()
            return make_fail_app(traceback.format_exc())


class Arguments(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{message}\n")


def read_arguments(arguments: Sequence[str] | None, prog: str, reloads: bool) -> argparse.Namespace:
    """Return `port`, which may be None, and `reload`. A mistake exits with one line and 2."""
    parser = Arguments(prog, description="Serve the gateway.")
    parser.add_argument("port", nargs="?", type=_port, metavar="PORT", help="default: the setting")
    parser.set_defaults(reload=False)
    if reloads:
        parser.add_argument("--reload", action="store_true", help="restart when code changes")
    return parser.parse_args(arguments)


def choose_port(requested: int | None) -> None:
    """Set PORT to *requested*, or else to the setting; if it is taken, to the next free port."""
    if requested is not None:
        os.environ["PORT"] = str(requested)
    try:
        settings = start_checks.load()
    except SettingsError as error:
        refuse(*error.mistakes)
    port = ports.first_free(settings.host, settings.port)
    if port is None:
        last = min(settings.port + ports.FURTHER, ports.HIGHEST)
        refuse(
            f"PORT: {settings.port} to {last} are taken; set another, or stop what listens there."
        )
    if port != settings.port:
        print(f"Port {settings.port} is taken; serving on {port}.", file=sys.stderr, flush=True)
    os.environ["PORT"] = str(port)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve. *arguments* default to the program's own."""
    options = read_arguments(arguments, "python -m wrapper", reloads=True)
    choose_port(options.port)
    Program(options.reload).run()


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= ports.HIGHEST:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port; give a number from 0 to 65535")


if __name__ == "__main__":
    main()
