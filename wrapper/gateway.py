"""The gateway: its parts, and how they are put into a Flask app."""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Callable
from typing import Any, cast

from flask import Blueprint, Flask
from flask_cors import CORS

from wrapper import prometheus
from wrapper.auth.guard import Authenticate, Guard, cors_origins
from wrapper.auth.key_file import open_keys
from wrapper.client import Chat
from wrapper.engines import build_engine
from wrapper.errors import UnknownUrl
from wrapper.prometheus import PrometheusMetrics
from wrapper.routes.blueprint import build_blueprint, build_unserved
from wrapper.routes.chat import HEADERS
from wrapper.routes.paths import SingleSlashes
from wrapper.routes.responses import PROCESSING_HEADER
from wrapper.schemas.chat.request import ChatRequestSchema
from wrapper.services import resources
from wrapper.services.background.offload.runner import offload
from wrapper.services.background.watchdog import CHECK_SECONDS
from wrapper.services.catalog import Catalog
from wrapper.services.engine import Engine
from wrapper.services.limits.admission import Admission
from wrapper.services.limits.policy import Policy
from wrapper.services.limits.rate_limits import open_rates
from wrapper.services.sessions.service import open_sessions
from wrapper.services.sessions.store import SessionStore
from wrapper.services.telemetry.metrics import Metrics, NullMetrics
from wrapper.services.turns.service import TurnService
from wrapper.services.usage.ledger import Ledger, open_store
from wrapper.settings import Settings
from wrapper.settings import load as load_settings

# After GRACEFUL_TIMEOUT turns are ended, which takes them a moment.
ENDING_SECONDS = 5.0
EXPOSED_HEADERS = ["x-request-id", PROCESSING_HEADER, *HEADERS]

log = logging.getLogger(__name__)


class Gateway:
    """An engine and the services and routes in front of it.

    `chat` asks it from within, and `blueprint` takes further views until `init_app`. `draining`
    says whether the server is shutting down, and `refused` is told why Claude Code must not serve;
    whoever runs the server may set both. Settings default to the environment's. *engine* takes the
    place of WRAPPER_ENGINE, *sessions* of SESSION_STORE, and *authenticate* of API_KEY and
    API_KEYS_FILE: it says who sends a request (a flask.Request), or returns None for 401. Raises
    SettingsError.

    As a context manager it is started, and drained in the end.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        engine: Engine | None = None,
        sessions: SessionStore | None = None,
        authenticate: Authenticate | None = None,
    ):
        self.settings = settings or load_settings()
        self.draining: Callable[[], bool] = lambda: False
        self.refused: Callable[[str], None] = lambda reason: None
        self._leaving = threading.Event()
        self._lock = threading.Lock()
        self._started = False
        if engine is None:
            engine = build_engine(self.settings, lambda reason: self.refused(reason))
        self.engine = engine
        self.catalog = Catalog(
            self.engine.models,
            default=self.settings.default_model,
            aliases=dict(self.settings.model_aliases),
            remap=self.settings.legacy_models == "remap",
        )
        self.admission = Admission(
            self.settings.max_concurrent_turns,
            queue=self.settings.max_queue,
            patience=self.settings.queue_timeout,
            tick=CHECK_SECONDS,
        )
        self.prometheus_metrics = (
            PrometheusMetrics(self.health, self._names) if prometheus.installed() else None
        )
        self.metrics: Metrics = self.prometheus_metrics or NullMetrics()
        self.policy = Policy(self.settings, self.catalog)
        self.ledger = Ledger(open_store(self.settings), required=self.settings.usage_required)
        self.rates = open_rates(self.settings)
        self.sessions = open_sessions(self.settings, self.engine, sessions)
        self.chat_service = TurnService(
            self.engine,
            self.catalog,
            self.settings,
            admission=self.admission,
            metrics=self.metrics,
            policy=self.policy,
            ledger=self.ledger,
            rates=self.rates,
            sessions=self.sessions,
            sender=self,
            draining=self._drains,
        )
        self.chat_schema = ChatRequestSchema(ignored=self.settings.ignore_params)
        self.chat = Chat(self.chat_service, self.chat_schema, self.start)
        self.keys = open_keys(self.settings)
        self.guard = Guard(self.settings, self.keys, authenticate)
        self.blueprint = build_blueprint(self.guard, metered=self.prometheus_metrics is not None)

    def init_app(self, app: Flask, url_prefix: str = "/v1") -> None:
        """Serve under *url_prefix* of *app*, whose own pages and handlers are left alone.

        Nothing is started before the first request, so the server may fork until then.
        """
        app.extensions["wrapper"] = self
        if "*" in self.settings.cors_origins and cors_origins(self.settings) != "*":
            log.warning("CORS_ORIGINS=* is left out of force: it needs an API_KEY")
        for blueprint in (self.blueprint, build_unserved(self.guard)):
            self.allow_origins(blueprint)
            app.register_blueprint(blueprint, url_prefix=url_prefix)
        app.wsgi_app = SingleSlashes(app.wsgi_app, url_prefix)  # type: ignore[method-assign]

    def allow_origins(self, target: Flask | Blueprint) -> None:
        """Let *target* send CORS headers to the origins that may call."""
        if origins := cors_origins(self.settings):
            CORS(
                target,
                origins=origins,
                expose_headers=EXPOSED_HEADERS,
                send_wildcard=True,
                always_send=False,
                allow_private_network=True,
            )

    def health(self) -> dict[str, Any]:
        """Return the health of engine, machine, keys, books and sessions, and the load; at once."""
        parts = {"machine": resources.health(), "usage": self.ledger.health()}
        if self.keys:
            error = self.keys.error
            parts["keys"] = {"status": "failing", "error": error} if error else {"status": "ok"}
        if self.sessions:
            parts["sessions"] = self.sessions.health()
        report = {**self.engine.health(), "turns": self.admission.load(), **parts}
        troubled = any(part["status"] != "ok" for part in parts.values())
        if troubled and report["status"] != "failing":
            report["status"] = "degraded"
        return report

    def readiness(self) -> str:
        """Return ready, or why turns should be sent elsewhere: draining, starting or failing.

        An empty pool of a gateway that has served is no reason: its turns wait for a moment.
        """
        if self._drains():
            return "draining"
        status = self.engine.health()["status"]
        if status == "failing":
            return "failing"
        return "ready" if status != "starting" or self.engine.models() else "starting"

    def document(self, app: Flask) -> dict[str, Any]:
        """Return the OpenAPI document of what *app* serves of the gateway, built when asked for.

        Raises UnknownUrl where apispec is not installed.
        """
        if "wrapper_openapi" not in app.extensions:
            try:
                from wrapper.openapi import build_document
            except ImportError:
                mend = "pip install 'claude-code-gateway[docs]'"
                raise UnknownUrl(
                    f"apispec is not installed, so there is no document; {mend}"
                ) from None
            document = build_document(app, needs_key=self.guard.needs_key)
            app.extensions["wrapper_openapi"] = document
        return cast(dict[str, Any], app.extensions["wrapper_openapi"])

    def start(self) -> None:
        """Begin to boot processes, once; else the first request does."""
        with self._lock:
            if self._started:
                return
            self._started = True
        self.engine.start()
        offload.start()
        if self.prometheus_metrics:
            self.prometheus_metrics.start()
        atexit.register(self.drain)

    def drain(self) -> None:
        """Let no more turns begin, those that run end within GRACEFUL_TIMEOUT, and close.

        It waits for that, so a handler of a signal is to call it in another thread.
        """
        self._leaving.set()
        self.admission.rest(self.settings.graceful_timeout + ENDING_SECONDS)
        self.close()

    def close(self) -> None:
        """Stop all processes and remove what they left, whatever runs."""
        if self.prometheus_metrics:
            self.prometheus_metrics.close()
        if self.sessions:
            self.sessions.close()
        self.engine.close()
        self.ledger.close()

    def __enter__(self) -> Gateway:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.drain()

    def _drains(self) -> bool:
        return self._leaving.is_set() or self.draining()

    def _names(self) -> set[str]:
        """Return the models' names that are not a caller's own."""
        return {name for model in self.catalog.models() for name in (model.id, model.runs)}
