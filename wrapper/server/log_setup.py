"""Set up the gateway's log and gunicorn's, in one format."""

from __future__ import annotations

from typing import Any

from gunicorn.glogging import Logger

from wrapper.logs import formatting
from wrapper.logs.redaction import Redacted
from wrapper.settings import Settings, environment


def configure(settings: Settings) -> None:
    """Set up the log of the stand-alone server. An app that mounts the gateway keeps its own."""
    formatting.configure(settings.log_level, _formatter(settings), prompts=settings.log_prompts)


def server_logger(settings: Settings) -> type[Logger]:
    """Return a class for gunicorn's logs that uses the gateway's format."""

    class ServerLogger(Logger):
        def setup(self, cfg: Any) -> None:
            super().setup(cfg)
            formatter = _formatter(settings)
            for handler in (*self.error_log.handlers, *self.access_log.handlers):
                handler.setFormatter(formatter)

        def debug(self, msg: object, *args: object, **kwargs: Any) -> None:
            """Redact errors: their messages may quote a body or a key."""
            super().debug(msg, *map(_redacted, args), **kwargs)

    return ServerLogger


def _redacted(value: object) -> object:
    return Redacted(value) if isinstance(value, BaseException) else value


def _formatter(settings: Settings) -> formatting.Formatter:
    stores = [url for url in (settings.redis_url, settings.session_store) if "://" in url]
    own = (settings.api_key, settings.webhook_url, settings.webhook_secret, *stores)
    # A shorter one would mask parts of every line.
    long = [secret for secret in own if len(secret) >= formatting.SHORTEST_SECRET]
    return formatting.Formatter(
        settings.log_format,
        prompts=settings.log_prompts,
        secrets=[*formatting.secrets_of(environment()), *long],
    )
