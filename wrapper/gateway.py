"""The gateway: it builds all parts, and serves them in a Flask app."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

from flask import Blueprint, Flask
from flask_cors import CORS

from wrapper import host, prometheus, start_checks
from wrapper.announcements import Announcements
from wrapper.auth.guard import Authenticate, Guard, cors_origins
from wrapper.auth.key_file import open_keys
from wrapper.auth.sign_ins import open_sign_ins
from wrapper.client import Chat
from wrapper.console import blueprint as console
from wrapper.engines import build_engine
from wrapper.errors import UnknownUrl
from wrapper.mcp_config import Servers, open_mcp_config
from wrapper.prometheus import PrometheusMetrics
from wrapper.routes import headers
from wrapper.routes.blueprint import build_blueprint, build_unserved
from wrapper.routes.dialects import set_prefix
from wrapper.routes.in_process import InProcessClient
from wrapper.routes.json_body import load_body
from wrapper.routes.paths import SingleSlashes
from wrapper.schemas.request_schemas import RequestSchemas
from wrapper.schemas.responses.items import load_stored_item
from wrapper.services import resources
from wrapper.services.approvals.service import open_approvals
from wrapper.services.background.lifecycle import Lifecycle
from wrapper.services.background.offload.runner import offload
from wrapper.services.batches.service import open_batches
from wrapper.services.catalog import Catalog, open_catalog
from wrapper.services.engine import Engine
from wrapper.services.files.service import open_files
from wrapper.services.jobs.service import open_jobs
from wrapper.services.key_data import Delete, KeyData
from wrapper.services.limits.admission import open_admission
from wrapper.services.limits.limits import Limits
from wrapper.services.limits.policy import Policy
from wrapper.services.limits.rate_limits import open_rates
from wrapper.services.requests.history import open_history
from wrapper.services.responses.background.event_logs import open_event_log
from wrapper.services.responses.background.runner import EVENTS_FACTOR, ResponseRunner
from wrapper.services.responses.background.service import KIND, BackgroundResponses
from wrapper.services.responses.service import open_responses
from wrapper.services.responses.store import ResponseStore
from wrapper.services.sessions.service import open_sessions
from wrapper.services.sessions.store import SessionStore
from wrapper.services.telemetry.metrics import Metrics, NullMetrics
from wrapper.services.telemetry.observers import Observers
from wrapper.services.tools.mcp import McpServer
from wrapper.services.tools.mcp_state import ConnectsServers, ServerState
from wrapper.services.turns.service import TurnService
from wrapper.services.turns.tool_service import ToolService
from wrapper.services.usage.ledger import Ledger, open_store
from wrapper.services.usage.login_limits import LoginLimits
from wrapper.services.usage.tool_stats import ToolStats
from wrapper.services.webhooks.service import open_webhooks
from wrapper.services.workers.service import open_workers
from wrapper.settings import Settings
from wrapper.settings import check as check_settings
from wrapper.settings import load as load_settings
from wrapper.settings import warnings as setting_warnings
from wrapper.tracing import open_traces

# Turns that run after GRACEFUL_TIMEOUT are ended, which takes a moment.
ENDING_SECONDS = 5.0

log = logging.getLogger(__name__)


class Gateway:
    """An engine with the services and routes in front of it.

    `chat` asks it from Python code. `blueprint` takes further views until `init_app`. The server
    may set the attributes of `lifecycle`.

    *settings* default to the environment's. *engine* replaces WRAPPER_ENGINE, *sessions* and
    *responses* replace SESSION_STORE, and *authenticate* replaces API_KEY and API_KEYS_FILE: it
    returns who sends a flask.Request, or None for 401. Raises SettingsError.

    As a context manager it starts on entry and drains on exit.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        engine: Engine | None = None,
        sessions: SessionStore | None = None,
        responses: ResponseStore | None = None,
        authenticate: Authenticate | None = None,
    ):
        self._warnings = [] if settings else setting_warnings()
        self.settings = settings = _checked(settings, engine)
        self.lifecycle = Lifecycle()
        self._lock = threading.Lock()
        self._started = False

        self.engine = engine or build_engine(settings, self.lifecycle)
        self.catalog = open_catalog(settings, self.engine.models)
        self.keys = open_keys(settings)
        self.mcp_config = open_mcp_config(settings)
        self._open_telemetry()
        self._open_limits()
        self.sessions = open_sessions(settings, self.engine, sessions)
        self.tools = ToolService(settings, self.engine, self.policy, self.sessions)
        announce = self._announcements
        self.approvals = open_approvals(settings, self.metrics.decided, announce.approval_waits)
        self.responses = open_responses(settings, load_stored_item, self.approvals, responses)
        self.files = open_files(settings)
        self.chat_service = self._turn_service()
        self.schemas = RequestSchemas(settings.ignore_params)
        self.chat = Chat(self.chat_service, self.schemas.chat, self.start)
        self.guard = Guard(settings, self.keys, authenticate)
        self.sign_ins = open_sign_ins(settings, self.guard, self.lifecycle)
        self._open_jobs()
        self.key_data = self._key_data()
        self.blueprint = build_blueprint(self.guard, metered=self.prometheus_metrics is not None)

    def _open_telemetry(self) -> None:
        settings = self.settings
        self.prometheus_metrics = _prometheus_metrics(self.health, self.catalog, self._cli_version)
        self.metrics: Metrics = self.prometheus_metrics or NullMetrics()
        self.webhooks = open_webhooks(settings, self.keys, self.metrics.posted)
        self._announcements = Announcements(self.webhooks, self.metrics)
        self.lifecycle.announce = self._announcements.for_operator()
        self.history = open_history(settings)
        self.traces = open_traces(os.environ, prompts=settings.log_prompts)

    def _open_limits(self) -> None:
        settings = self.settings
        self.admission = open_admission(settings, lambda: len(self.engine.parked()))
        self.workers = open_workers(settings, self.admission, self.health, self.lifecycle)
        self.policy = Policy(settings, self.catalog, self._mcp_servers, self.mcp_states)
        usage_store = open_store(settings)
        self.ledger = Ledger(
            usage_store,
            required=settings.usage_required,
            on_threshold=self._announcements.threshold_reached,
        )
        self.tool_stats = ToolStats(usage_store)
        self.login_limits = LoginLimits(usage_store)
        self.rates = open_rates(settings)

    def _open_jobs(self) -> None:
        settings = self.settings
        self._client = InProcessClient()
        self.jobs = open_jobs(
            settings, self._client, self.guard.principal, self.metrics, self.lifecycle.drains
        )
        self.batches = open_batches(
            settings, self.files, self.jobs, self._announcements.batch_ended
        )
        self.background_responses = self._background_responses()

    def init_app(self, app: Flask, url_prefix: str = "/v1") -> None:
        """Serve under *url_prefix* of *app*, and leave its own pages and handlers alone.

        Nothing is started before the first request, so the server may fork until then.
        """
        app.extensions["wrapper"] = self
        set_prefix(app, url_prefix)
        self._client.serve(app)
        for warning in self._warnings:
            log.warning("%s", warning)
        if "*" in self.settings.cors_origins and cors_origins(self.settings) != "*":
            log.warning("CORS_ORIGINS=* has no effect without a key: set API_KEY or API_KEYS_FILE")
        for blueprint in (self.blueprint, build_unserved(self.guard)):
            self.allow_origins(blueprint)
            app.register_blueprint(blueprint, url_prefix=url_prefix)
        app.wsgi_app = SingleSlashes(app.wsgi_app, url_prefix)  # type: ignore[method-assign]

    def init_console(
        self, app: Flask, url_prefix: str = "/console", docs_prefix: str = "/docs"
    ) -> None:
        """Serve the web console under *url_prefix* of *app*, after `init_app`.

        *docs_prefix* is the path of the page about the API. With CONSOLE=false, neither is served.
        """
        if self.settings.console:
            console.mount(app, url_prefix, docs_prefix)

    def allow_origins(self, target: Flask | Blueprint) -> None:
        """Make *target* send CORS headers to the origins that may call."""
        if origins := cors_origins(self.settings):
            CORS(
                target,
                origins=origins,
                expose_headers=list(headers.EXPOSED),
                send_wildcard=True,
                always_send=False,
                allow_private_network=True,
            )

    def health(self) -> dict[str, Any]:
        """Return the health of all parts, and the load, without waiting."""
        parts = {"machine": resources.health(), "usage": self.ledger.health()}
        for name, file in (("keys", self.keys), ("mcp_config", self.mcp_config)):
            if file:
                error = file.error
                parts[name] = {"status": "failing", "error": error} if error else {"status": "ok"}
        if self.sessions:
            parts["sessions"] = self.sessions.health()
        if health := self.responses.health():
            parts["responses"] = health
        if health := self.webhooks.health():
            parts["webhooks"] = health
        if health := self.jobs.health():
            parts["jobs"] = {**health, "lines_waiting": self.batches.lines_waiting}
        turns = {**self.admission.load(), "approvals": self.approvals.waiting}
        report = {**self.engine.health(), "turns": turns, **parts}
        impaired = any(part["status"] != "ok" for part in parts.values())
        if impaired and report["status"] != "failing":
            report["status"] = "degraded"
        return report

    def mcp_states(self, servers: Sequence[McpServer]) -> Mapping[str, ServerState]:
        """Return the states of MCP servers by name, as far as the engine knows any."""
        engine = self.engine
        return engine.mcp_states(servers) if servers and isinstance(engine, ConnectsServers) else {}

    def readiness(self) -> str:
        """Return "ready", or why turns should go elsewhere: "draining", "starting" or "failing".

        A gateway that has served stays ready if its pool is empty: turns wait for a moment.
        """
        if self.lifecycle.drains():
            return "draining"
        status = self.engine.health()["status"]
        if status == "failing":
            return "failing"
        return "ready" if status != "starting" or self.engine.models() else "starting"

    def document(self, app: Flask) -> dict[str, Any]:
        """Return the OpenAPI document of the gateway's routes in *app*, built on the first call.

        Raises UnknownUrl if apispec is not installed.
        """
        if "wrapper_openapi" not in app.extensions:
            try:
                from wrapper.openapi import build_document
            except ImportError:
                raise UnknownUrl(
                    "The OpenAPI document needs apispec, which is not installed; "
                    "run: pip install 'claude-code-gateway[docs]'"
                ) from None
            document = build_document(app, needs_key=self.guard.needs_key)
            app.extensions["wrapper_openapi"] = document
        return cast(dict[str, Any], app.extensions["wrapper_openapi"])

    def start(self) -> None:
        """Start processes and threads, unless they are started; the first request does so, too."""
        with self._lock:
            if self._started:
                return
            self._started = True
        if not host.LINUX:
            log.warning("%s", host.UNTESTED)
        self.engine.start()
        self.mcp_states([*self._mcp_servers().values()])
        self.ledger.start()
        self.webhooks.start()
        if self.sessions:
            self.sessions.start()
        self.responses.health()  # lets the store begin to check that it can be reached
        self.files.start()
        offload.start()
        self.workers.start()
        self.jobs.start()
        self.traces.start()
        if self.prometheus_metrics:
            self.prometheus_metrics.start()
        atexit.register(self.drain)

    def drain(self) -> None:
        """Begin no more turns, wait up to GRACEFUL_TIMEOUT for running ones, and close.

        It blocks, so a signal handler must call it in another thread.
        """
        self.lifecycle.drain()
        self.jobs.drain()
        self.admission.wait_until_idle(self.settings.graceful_timeout + ENDING_SECONDS)
        self.jobs.wait_until_idle(ENDING_SECONDS)
        self.close()

    def close(self) -> None:
        """Stop all processes and remove their files, even if turns are running."""
        atexit.unregister(self.drain)
        if self.prometheus_metrics:
            self.prometheus_metrics.close()
        self.jobs.abandon()
        if self.sessions:
            self.sessions.close()
        self.background_responses.close()
        self.responses.close()
        self.files.close()
        self.approvals.close()
        self.workers.close()
        self.engine.close()
        self.jobs.close()
        self.batches.close()
        self.ledger.close()
        if self.history:
            self.history.close()
        self.webhooks.close()  # last, as the others may announce events until they are closed
        self.traces.close()

    def __enter__(self) -> Gateway:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.drain()

    def _mcp_servers(self) -> Servers:
        return self.mcp_config.servers() if self.mcp_config else {}

    def _cli_version(self) -> str:
        """Return Claude Code's version, or "" if it is unknown or the engine does not run it."""
        return str(getattr(self.engine, "cli_version", None) or "")

    def _background_responses(self) -> BackgroundResponses:
        """Return the service of responses in the background, whose jobs run here, too."""
        settings = self.settings
        events = open_event_log(settings)
        load = partial(load_body, self.schemas.responses)
        runner = ResponseRunner(
            self.responses,
            self.chat_service,
            events,
            load,
            headers.note_headers,
            most=EVENTS_FACTOR * settings.session_max_bytes,
            ttl=settings.session_ttl,
        )
        self.jobs.handle(KIND, runner.run, self._announcements.response_ended)
        return BackgroundResponses(
            self.responses, self.jobs, events, self.chat_service, load, ttl=settings.session_ttl
        )

    def _key_data(self) -> KeyData:
        """Return what deletes the data of a key. Usage is not among it, as budgets count it."""
        jobs: dict[str, Delete] = {
            "background_responses": self.background_responses.delete_all,
            "batches": self.batches.delete_all,
        }
        stores: dict[str, Delete] = {
            "approvals": self.approvals.delete_all,
            "responses": self.responses.delete_all,
            "files": self.files.delete_all,
            "webhooks": self.webhooks.delete_all,
            "sign_ins": self.sign_ins.delete_all,
        }
        if self.sessions:
            stores["sessions"] = self.sessions.delete_all
        if self.history:
            stores["requests"] = self.history.delete_all
        return KeyData(jobs, self.workers.stop_all, stores)

    def _turn_service(self) -> TurnService:
        return TurnService(
            self.engine,
            self.catalog,
            self.settings,
            Limits(self.admission, self.rates, self.policy, self.ledger),
            Observers(
                self.metrics,
                self.tool_stats,
                self.login_limits,
                self.history,
                sender=self,
                traces=self.traces,
            ),
            approvals=self.approvals,
            sessions=self.sessions,
            draining=self.lifecycle.drains,
        )


def _checked(settings: Settings | None, engine: Engine | None) -> Settings:
    """Return *settings*, or the environment's. Raises SettingsError with all their mistakes."""
    if settings is None:
        return load_settings() if engine else start_checks.load(to_serve=False)
    mistakes_of = partial(start_checks.mistakes_of, to_serve=False)
    check_settings(settings, mistakes_of if engine is None else lambda _: ())
    return settings


def _prometheus_metrics(
    health: Callable[[], dict[str, Any]], catalog: Catalog, cli_version: Callable[[], str]
) -> PrometheusMetrics | None:
    def known_models() -> set[str]:
        """Return the models' names that no caller has made up."""
        return {name for model in catalog.models() for name in (model.id, model.runs)}

    if not prometheus.installed():
        return None
    return PrometheusMetrics(health, known_models, cli_version)
