"""An OpenAI-compatible gateway that lets Claude Code answer."""

from wrapper.app import create_app
from wrapper.errors import ApiError
from wrapper.gateway import Gateway
from wrapper.services.principal import Caller, Principal
from wrapper.services.telemetry.signals import turn_finished, turn_started
from wrapper.settings import Settings
from wrapper.version import __version__

__all__ = [
    "ApiError",
    "Caller",
    "Gateway",
    "Principal",
    "Settings",
    "__version__",
    "create_app",
    "turn_finished",
    "turn_started",
]
