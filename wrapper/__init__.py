"""An OpenAI-compatible gateway that lets Claude Code answer."""

__version__ = "0.1.0"

from wrapper.app import create_app
from wrapper.gateway import Gateway

__all__ = ["Gateway", "__version__", "create_app"]
