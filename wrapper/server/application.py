"""gunicorn as a program of ours: the application that it runs, and the port that it binds."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.util import make_fail_app

from wrapper import start_checks
from wrapper.server import ports
from wrapper.server.config import configuration, refuse
from wrapper.settings import SettingsError


class Application(BaseApplication):
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


def serve(port: int | None, reload: bool) -> None:
    """Serve until a signal ends the server. *port* is that of `choose_port`."""
    choose_port(port)
    Application(reload).run()


def choose_port(requested: int | None) -> None:
    """Set PORT to *requested*, or else to the setting; if it is taken, to the next free port.

    A server that inherits its sockets binds no port.
    """
    if requested is not None:
        os.environ["PORT"] = str(requested)
    try:
        settings = start_checks.load()
    except SettingsError as error:
        refuse(*error.mistakes)
    if ports.inherited():
        return
    port = ports.first_free(settings.host, settings.port)
    if port is None:
        last = min(settings.port + ports.FURTHER, ports.HIGHEST)
        refuse(
            f"PORT: {settings.port} to {last} are taken; set another, or stop what listens there."
        )
    if port != settings.port:
        print(f"Port {settings.port} is taken; serving on {port}.", file=sys.stderr, flush=True)
    os.environ["PORT"] = str(port)
