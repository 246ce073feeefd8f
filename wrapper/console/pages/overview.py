"""The overview: how the gateway is, what it does right now, and what needs attention."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from wrapper.console import live
from wrapper.console.advice import problems_of, status_of
from wrapper.console.combined_health import combine
from wrapper.console.formats import visible
from wrapper.console.page import show as show_template
from wrapper.errors import Conflict
from wrapper.routes.context import current_gateway, principal
from wrapper.routes.error_handlers import CHAT_ENDPOINT
from wrapper.services.limits.admission import Admitted
from wrapper.services.resources import MachineState
from wrapper.services.workers.service import Workers
from wrapper.services.workers.state import WorkerState

# What /health reports of a part, in words.
PART_NAMES = {
    "machine": "Memory and files",
    "keys": "Keys file",
    "mcp_config": "MCP servers",
    "usage": "Record of spending",
    "sessions": "Sessions",
    "responses": "Responses",
    "jobs": "Background work",
}
JOB_NAMES = {"response": "Responses", "batch": "Batches"}
RATE_NAMES = {"requests": "Requests", "tokens": "Tokens"}

overview = Blueprint("overview", __name__)


@overview.get("", strict_slashes=False)
def show() -> Response:
    """Show the state as it is now; the page then follows it."""
    return show_template("overview.html", _state())


@overview.get("/live")
def follow() -> Response:
    """Send the state whenever it changes."""
    return live.stream(lambda: render_template("console/_overview.html", **_state()))


@overview.post("/stop")
def stop() -> BaseResponse:
    """Stop a turn that runs or waits: the caller's own, or as an admin anybody's."""
    number = request.form.get("number", 0, int)
    if not _workers().stop(request.form.get("worker", ""), number, principal()):
        raise Conflict("This turn has ended already.")
    if "HX-Request" in request.headers:
        return show_template("_overview.html", _state())
    return redirect(url_for(".show"), 303)


def _state() -> dict[str, Any]:
    gateway = current_gateway()
    workers = _workers().states()
    health = combine([worker.health for worker in workers])
    return {
        "status": status_of(health, draining=all(worker.draining for worker in workers)),
        "problems": problems_of(health),
        "turns": health["turns"],
        "most_waiting": sum(worker.most_waiting for worker in workers),
        "requests": list(_rows(workers)),
        "workers": [_worker(worker) for worker in workers],
        "unseen": _unseen(workers),
        "failure": _workers().failure,
        "pools": health.get("pools", {}),
        "warm_up": health.get("warm_up", {}),
        "recycled": (recycled := health.get("recycled", 0)),
        "parked": health.get("parked", 0) - recycled,
        "parts": [(PART_NAMES[name], health[name]) for name in PART_NAMES if name in health],
        "jobs": list(_jobs(health.get("jobs", {}))),
        "rates": [
            (RATE_NAMES[rate.what], rate) for rate in gateway.limits.rates.notes(principal()).rates
        ],
        "machines": _machines(workers) if principal().admin else {},
        "chat_url": url_for(CHAT_ENDPOINT, _external=True),
    }


def _jobs(health: Mapping[str, Any]) -> Iterator[tuple[str, int, int]]:
    """Yield the name of each kind of job, and how many of all keys wait and run."""
    for kind, waiting in health.get("waiting", {}).items():
        yield JOB_NAMES.get(kind, kind), waiting, health["running"].get(kind, 0)


def _unseen(workers: Sequence[WorkerState]) -> int:
    """Return how many workers of this server are not among *workers*."""
    host = workers[0].host
    seen = sum(worker.host == host and worker.serves for worker in workers)
    return max(0, int(current_gateway().lifecycle.workers) - seen)


def _worker(worker: WorkerState) -> dict[str, Any]:
    return {
        "host": worker.host,
        "serves": worker.serves,
        "pid": worker.pid,
        "status": status_of(worker.health, draining=worker.draining),
        "turns": worker.health["turns"],
        "processes": sum(pool.get("ready", 0) for pool in worker.health.get("pools", {}).values()),
        "kept": worker.health.get("parked", 0),
    }


def _machines(workers: Iterable[WorkerState]) -> dict[str, MachineState]:
    """Return the state of each machine, with the open files of the worker that has most."""
    machines: dict[str, MachineState] = {}
    for worker in workers:
        known = machines.get(worker.host)
        if known is None or (worker.machine.descriptors or 0) > (known.descriptors or 0):
            machines[worker.host] = worker.machine
    return machines


def _rows(workers: Iterable[WorkerState]) -> Iterator[dict[str, Any]]:
    """Yield what the page shows of each request: the running ones, and then those that wait."""
    requests = [(worker.id, each) for worker in workers for each in worker.requests]
    for worker, each in sorted(requests, key=lambda pair: (not pair[1].runs, -pair[1].seconds)):
        if principal().admin or each.owner == principal().name:
            yield {"worker": worker, **_row(each)}


def _row(each: Admitted) -> dict[str, Any]:
    """Return what the page shows of a request; no more than its caller's own words for its id."""
    activity = "is being stopped" if each.stopped else each.activity or "begins"
    return {
        "number": each.number,
        "owner": each.owner,
        "request_id": each.request_id,
        "runs": each.runs,
        "stopped": each.stopped,
        "activity": visible(activity) if each.runs else "waits for a place",
        "began": round(time.time() - each.seconds),
        "seconds": each.seconds,
        "turns": each.turns,
    }


def _workers() -> Workers:
    workers: Workers = current_gateway().workers
    return workers
