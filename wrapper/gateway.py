"""The gateway: it builds all parts, and serves them in a Flask app."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

from flask import Flask

from wrapper import host, start_checks
from wrapper.announcements import Announcements
from wrapper.auth.guard import Authenticate, Guard, cors_origins
from wrapper.auth.key_file import open_keys
from wrapper.auth.sign_ins import open_sign_ins
from wrapper.client import Chat
from wrapper.console import blueprint as console
from wrapper.engines import build_engine
from wrapper.errors import UnknownUrl
from wrapper.mcp_config import Servers, open_mcp_config
from wrapper.prometheus import open_metrics
from wrapper.routes.blueprint import build_blueprint, build_unserved
from wrapper.routes.cors import allow_origins
from wrapper.routes.dialects import set_prefix
from wrapper.routes.in_process import InProcessClient
from wrapper.routes.json_body import load_body
from wrapper.routes.paths import SingleSlashes
from wrapper.schemas.request_schemas import RequestSchemas
from wrapper.services import resources
from wrapper.services.approvals.service import open_approvals
from wrapper.services.background.lifecycle import Lifecycle
from wrapper.services.background.offload.runner import offload
from wrapper.services.batches.service import open_batches
from wrapper.services.catalog import open_catalog
from wrapper.services.engine import Engine
from wrapper.services.jobs.service import open_jobs
from wrapper.services.key_data import Delete, KeyData
from wrapper.services.limits.admission import open_admission
from wrapper.services.limits.limits import Limits
from wrapper.services.limits.policy import Policy
from wrapper.services.limits.rate_limits import open_rates
from wrapper.services.requests.history import open_history
from wrapper.services.responses.store import ResponseStore
from wrapper.services.sessions.store import SessionStore
from wrapper.services.telemetry.metrics import Metrics, NullMetrics
from wrapper.services.telemetry.observers import Observers
from wrapper.services.tools.mcp import McpServer
from wrapper.services.tools.mcp_state import ConnectsServers, ServerState
from wrapper.services.turns.service import TurnService
from wrapper.services.turns.tool_service import ToolService
from wrapper.services.usage.ledger import KeptUsage, Ledger, open_store
from wrapper.services.usage.login_limits import LoginLimits
from wrapper.services.usage.tool_stats import ToolStats
from wrapper.services.webhooks.service import open_webhooks
from wrapper.services.workers.service import open_workers
from wrapper.settings import Settings
from wrapper.settings import warnings as setting_warnings
from wrapper.stores import open_stores
from wrapper.tracing import open_traces
from wrapper.work import Work, open_background_responses

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
        self.settings = settings = start_checks.checked(settings, runs_engine=engine is None)
        self.lifecycle = Lifecycle()
        self._lock = threading.Lock()
        self._started = False

        self.engine = engine or build_engine(settings, self.lifecycle)
        self.catalog = open_catalog(settings, self.engine.models)
        self.keys = open_keys(settings)
        self.mcp_config = open_mcp_config(settings)
        usage_store = open_store(settings)
        self._open_observers(usage_store)
        self._open_limits(usage_store)
        approvals = open_approvals(
            settings, self.observers.metrics.decided, self._announcements.approval_waits
        )
        self.stores = open_stores(settings, self.engine, approvals, sessions, responses)
        self.tools = ToolService(settings, self.engine, self.limits.policy, self.stores.sessions)
        self.chat_service = self._turn_service()
        self.schemas = RequestSchemas(settings.ignore_params)
        self.chat = Chat(self.chat_service, self.schemas.chat, self.start)
        self.guard = Guard(settings, self.keys, authenticate)
        self.sign_ins = open_sign_ins(settings, self.guard, self.lifecycle)
        self.work = self._open_work()
        self.key_data = self._key_data()
        self.blueprint = build_blueprint(self.guard, metered=self.prometheus_metrics is not None)
        self._unserved = build_unserved(self.guard)
        for blueprint in (self.blueprint, self._unserved):
            allow_origins(blueprint, settings)

    def _open_observers(self, usage_store: KeptUsage) -> None:
        settings = self.settings
        self.prometheus_metrics = open_metrics(self.health, self.catalog, self._cli_version)
        metrics: Metrics = self.prometheus_metrics or NullMetrics()
        self.webhooks = open_webhooks(settings, self.keys, metrics.posted)
        self._announcements = Announcements(self.webhooks, metrics)
        self.lifecycle.announce = self._announcements.for_operator()
        self.observers = Observers(
            metrics,
            ToolStats(usage_store),
            LoginLimits(usage_store),
            open_history(settings),
            sender=self,
            traces=open_traces(os.environ, prompts=settings.log_prompts),
        )

    def _open_limits(self, usage_store: KeptUsage) -> None:
        settings = self.settings
        admission = open_admission(settings, lambda: len(self.engine.parked()))
        self.workers = open_workers(settings, admission, self.health, self.lifecycle)
        ledger = Ledger(
            usage_store,
            required=settings.usage_required,
            on_threshold=self._announcements.threshold_reached,
        )
        policy = Policy(settings, self.catalog, self._mcp_servers, self.mcp_states)
        self.limits = Limits(admission, open_rates(settings), policy, ledger)

    def _open_work(self) -> Work:
        settings, announce, client = self.settings, self._announcements, InProcessClient()
        metrics, drains = self.observers.metrics, self.lifecycle.drains
        jobs = open_jobs(settings, client, self.guard.principal, metrics, drains)
        batches = open_batches(settings, self.stores.files, jobs, announce.batch_ended)
        load = partial(load_body, self.schemas.responses)
        responses = open_background_responses(
            settings, self.stores.responses, jobs, self.chat_service, load, announce.response_ended
        )
        return Work(client, jobs, batches, responses)

    def init_app(self, app: Flask, url_prefix: str = "/v1") -> None:
        """Serve under *url_prefix* of *app*, and leave its own pages and handlers alone.

        Nothing is started before the first request, so the server may fork until then. Several
        apps may serve one gateway; what it asks itself, as for batches, it asks the last of them.
        """
        url_prefix = url_prefix.rstrip("/")
        app.extensions["wrapper"] = self
        set_prefix(app, url_prefix)
        self.work.client.serve(app)
        for warning in self._warnings:
            log.warning("%s", warning)
        if "*" in self.settings.cors_origins and cors_origins(self.settings) != "*":
            log.warning("CORS_ORIGINS=* has no effect without a key: set API_KEY or API_KEYS_FILE")
        for blueprint in (self.blueprint, self._unserved):
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

    def health(self) -> dict[str, Any]:
        """Return the health of all parts, and the load, without waiting."""
        parts = {"machine": resources.health(), "usage": self.limits.ledger.health()}
        for name, file in (("keys", self.keys), ("mcp_config", self.mcp_config)):
            if file:
                error = file.error
                parts[name] = {"status": "failing", "error": error} if error else {"status": "ok"}
        parts |= self.stores.health()
        if health := self.webhooks.health():
            parts["webhooks"] = health
        if health := self.work.health():
            parts["jobs"] = health
        turns = {**self.limits.admission.load(), "approvals": self.stores.approvals.waiting}
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
        """Start processes and threads, unless they are started; the first request does so, too.

        After an error, such as a full disk, the next call starts what is left.
        """
        with self._lock:
            if not self._started:
                self._start_parts()
                atexit.register(self.drain)
                self._started = True

    def _start_parts(self) -> None:
        if not host.LINUX:
            log.warning("%s", host.UNTESTED)
        self.engine.start()
        self.mcp_states([*self._mcp_servers().values()])
        self.limits.ledger.start()
        self.webhooks.start()
        self.stores.start()
        offload.start()
        self.workers.start()
        self.work.jobs.start()
        if self.prometheus_metrics:
            self.prometheus_metrics.start()
        self.observers.traces.start()  # last, as it cannot be repeated

    def drain(self) -> None:
        """Begin no more turns, wait up to GRACEFUL_TIMEOUT for running ones, and close.

        It blocks, so a signal handler must call it in another thread. KeyboardInterrupt ends only
        the wait.
        """
        try:
            self.lifecycle.drain()
            self.work.jobs.drain()
            self.limits.admission.wait_until_idle(self.settings.graceful_timeout + ENDING_SECONDS)
            self.work.jobs.wait_until_idle(ENDING_SECONDS)
        finally:
            self.close()

    def close(self) -> None:
        """Stop all processes and remove their files, even if turns are running."""
        atexit.unregister(self.drain)
        if self.prometheus_metrics:
            self.prometheus_metrics.close()
        self.work.abandon()
        self.stores.close()
        self.workers.close()
        self.engine.close()
        self.work.close()
        self.limits.ledger.close()
        if self.observers.history:
            self.observers.history.close()
        self.webhooks.close()  # last, as the others may announce events until they are closed
        self.observers.traces.close()

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

    def _key_data(self) -> KeyData:
        """Return what deletes the data of a key. Usage is not among it, as budgets count it."""
        stores: dict[str, Delete] = {
            **self.stores.deletes(),
            "webhooks": self.webhooks.delete_all,
            "sign_ins": self.sign_ins.delete_all,
        }
        if self.observers.history:
            stores["requests"] = self.observers.history.delete_all
        return KeyData(self.work.deletes(), self.workers.stop_all, stores)

    def _turn_service(self) -> TurnService:
        return TurnService(
            self.engine,
            self.catalog,
            self.settings,
            self.limits,
            self.observers,
            approvals=self.stores.approvals,
            sessions=self.stores.sessions,
            draining=self.lifecycle.drains,
        )
