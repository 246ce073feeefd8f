"""What is wrong with the gateway, from its /health, in plain words and with what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# What each part's failure means, and what to do. A part's `error` says why.
PARTS = {
    "machine": (
        "The machine is short of something",
        "Turns are refused until there is more of it.",
    ),
    "usage": ("Spending is not recorded", "Budgets count only what this worker remembers."),
    "keys": ("The keys file is broken", "Earlier keys stay valid; new ones do not work yet."),
    "mcp_config": (
        "The file of MCP servers is broken",
        "Earlier servers stay in use; changes have no effect yet.",
    ),
    "sessions": ("Sessions cannot be read or stored", "Requests with a session_id fail."),
    "responses": (
        "Responses cannot be stored",
        "Requests that store or continue a response fail.",
    ),
    "jobs": (
        "Background work cannot be stored",
        "Background responses and batches do not begin, and their progress is unknown.",
    ),
}
STATUSES = {
    "ok": ("good", "All is well", "The gateway serves."),
    "starting": ("busy", "Starting", "The first processes boot; turns wait for them."),
    "degraded": ("warning", "Impaired", "The gateway serves, but something below needs you."),
    "failing": ("bad", "Not serving", "No turn can run until this is solved."),
    "draining": ("busy", "Shutting down", "Running turns finish; new ones are refused."),
}
LOGINS = {
    "missing": ("Nobody is logged in at the model's provider", "Every turn fails."),
    "refused": ("The model's provider refuses the login", "Every turn fails."),
    "expired": ("The login at the model's provider has expired", "Turns will fail."),
    "expiring": ("The login at the model's provider expires soon", "Until then turns work."),
}


@dataclass(frozen=True)
class Status:
    """How the gateway is, in one line. `tone` is good, busy, warning or bad."""

    tone: str
    title: str
    meaning: str


@dataclass(frozen=True)
class Problem:
    """Something that is wrong: what it is, what it means, and why, which also says what to do."""

    title: str
    meaning: str
    why: str


def status_of(health: Mapping[str, Any], *, draining: bool) -> Status:
    """Return how a gateway with this *health* is."""
    return Status(*STATUSES["draining" if draining else health["status"]])


def problems_of(health: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong, what stops turns first."""
    return [
        *_login(health),
        *_pools(health),
        *_parts(health),
        *_trials(health),
        *_warm_ups(health),
    ]


def _login(health: Mapping[str, Any]) -> Iterator[Problem]:
    login = health.get("login", {"status": "ok"})
    if login["status"] != "ok":
        yield Problem(*LOGINS[login["status"]], login.get("error", ""))


def _pools(health: Mapping[str, Any]) -> Iterator[Problem]:
    for name, pool in health.get("pools", {}).items():
        if error := pool.get("error"):
            what = f"Turns with the profile {name} fail."
            yield Problem(f"No process of the profile {name} starts", what, error)


def _parts(health: Mapping[str, Any]) -> Iterator[Problem]:
    for name, (title, meaning) in PARTS.items():
        part = health.get(name, {"status": "ok"})
        if part["status"] != "ok":
            waiting = part.get("unbooked", 0)
            more = f" {waiting} entries wait in memory." if waiting else ""
            yield Problem(title, f"{meaning}{more}", part.get("error", ""))


def _trials(health: Mapping[str, Any]) -> Iterator[Problem]:
    for name, trial in health.get("trials", {}).items():
        for check, why in trial["failed"].items():
            title = f"Claude Code fails a check of the profile {name}"
            yield Problem(title, f"The check is “{check}”.", why)


def _warm_ups(health: Mapping[str, Any]) -> Iterator[Problem]:
    for name, warm_up in health.get("warm_up", {}).items():
        if warm_up["status"] == "off":
            title = f"Processes of the profile {name} are not warmed up"
            meaning = "The first turn of each process takes a little longer."
            yield Problem(title, meaning, warm_up.get("error", ""))
