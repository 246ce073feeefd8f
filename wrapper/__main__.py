"""The program: `python -m wrapper [--reload] [PORT]` serves with gunicorn, from anywhere."""

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

from wrapper.server import ports
from wrapper.server.config import configuration, refuse
from wrapper.settings import SettingsError, load


class Program(BaseApplication):
    """gunicorn with the gateway's settings; *reload* starts the worker anew when code changes."""

    def __init__(self, reload: bool):
        self._reload = reload
        super().__init__()

    def load_config(self) -> None:
        for name, value in {**configuration(), "reload": self._reload}.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Return the app. Where code is reloaded, what it fails with is told to who asks."""
        try:
            # By its name: a worker that reloads has forgotten the module that it was in.
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
    """Return `port` (None where none is given) and `reload`; a mistake ends with one line and 2."""
    parser = Arguments(prog, description="Serve the gateway.")
    parser.add_argument("port", nargs="?", type=_port, metavar="PORT", help="default: the setting")
    parser.set_defaults(reload=False)
    if reloads:
        parser.add_argument("--reload", action="store_true", help="start anew when code changes")
    return parser.parse_args(arguments)


def settle_port(chosen: int | None) -> None:
    """Set PORT to *chosen*, or to the setting, and where that is taken to the next free one."""
    if chosen is not None:
        os.environ["PORT"] = str(chosen)
    try:
        settings = load()
    except SettingsError as error:
        refuse(*error.mistakes)
    port = ports.first_free(settings.host, settings.port)
    if port is None:
        last = min(settings.port + ports.FURTHER, ports.HIGHEST)
        refuse(f"PORT: {settings.port} to {last} are taken; set another, or stop what listens.")
    if port != settings.port:
        print(f"Port {settings.port} is taken; serving on {port}.", file=sys.stderr, flush=True)
    os.environ["PORT"] = str(port)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve; *arguments* are by default the program's own."""
    asked = read_arguments(arguments, "python -m wrapper", reloads=True)
    settle_port(asked.port)
    Program(asked.reload).run()


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= ports.HIGHEST:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no port; give a number from 0 to 65535")


if __name__ == "__main__":
    main()
