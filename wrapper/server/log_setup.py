"""Log setup: the gateway's log and gunicorn's, in one format, after the settings."""

from __future__ import annotations

from typing import Any

from gunicorn.glogging import Logger

from wrapper.logs import formatting
from wrapper.logs.redaction import Redacted
from wrapper.settings import Settings, environment

ACCESS = "%(message)s"


def configure(settings: Settings) -> None:
    """Write the stand-alone server's log; an app that mounts the gateway keeps its own."""
    formatting.configure(settings.log_level, _formatter(settings), prompts=settings.log_prompts)


def server_logger(settings: Settings) -> type[Logger]:
    """Return the class of gunicorn's logs: the format is the gateway's."""

    class ServerLogger(Logger):
        def setup(self, cfg: Any) -> None:
            super().setup(cfg)
            kinds = (self.error_log, _formatter(settings)), (self.access_log, _access(settings))
            for log, formatter in kinds:
                for handler in log.handlers:
                    handler.setFormatter(formatter)

        def debug(self, msg: object, *args: object, **kwargs: Any) -> None:
            """Say what happens, but not what was read: that may be a body, or a key."""
            super().debug(msg, *map(_redacted, args), **kwargs)

    return ServerLogger


def _redacted(value: object) -> object:
    return Redacted(value) if isinstance(value, BaseException) else value


def _access(settings: Settings) -> formatting.Formatter:
    return _formatter(settings, ACCESS)


def _formatter(settings: Settings, template: str = formatting.CONSOLE) -> formatting.Formatter:
    urls = [url for url in (settings.redis_url, settings.session_store) if "://" in url]
    secrets = [*formatting.secrets_of(environment()), settings.api_key, *urls]
    return formatting.Formatter(
        settings.log_format,
        prompts=settings.log_prompts,
        secrets=[secret for secret in secrets if secret],
        template=template,
    )
