"""The smoke test `python -m wrapper.smoke URL`, which checks a running server over HTTP."""

from __future__ import annotations

import http.client
import sys
import time
from collections.abc import Callable, Sequence

from wrapper.settings import SettingsError, environment
from wrapper.smoke import checks, messages, responses
from wrapper.smoke.client import Client, Failed, NotOffered

__all__ = ["CHECKS", "Client", "main", "run"]

LINE_LENGTH = 300
UNSENDABLE = (
    "the URL cannot be sent, as its host is no name or it is not ASCII, or API_KEY has a line break"
)

CHECKS: dict[str, Callable[[Client], None]] = {
    "health": checks.check_health,
    "models": checks.check_models,
    "auth": checks.check_auth,
    "completion": checks.check_completion,
    "stream": checks.check_stream,
    "responses": responses.check_responses,
    "stored": responses.check_stored,
    "messages": messages.check_messages,
    "sessions": checks.check_sessions,
}


def run(client: Client) -> bool:
    """Print a line for each check, and return whether all succeeded."""
    results = [_run_check(name, check, client) for name, check in CHECKS.items()]
    return all(results)


def main(arguments: Sequence[str]) -> int:
    """Return the exit status: 0 for success, 1 for a failed check, 2 for wrong arguments."""
    if len(arguments) != 1:
        print("usage: python -m wrapper.smoke URL", file=sys.stderr)
        return 2
    try:
        client = Client(arguments[0], environment().get("API_KEY", ""))
    except (SettingsError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    try:
        client.call("GET", "/health")
    except (OSError, http.client.HTTPException) as error:
        print(f"FAILED  {arguments[0]} cannot be reached: {_reason(error)}", flush=True)
        return 1
    except ValueError:  # its text may have the key
        print(UNSENDABLE, file=sys.stderr)
        return 2
    return 0 if run(client) else 1


def _run_check(name: str, check: Callable[[Client], None], client: Client) -> bool:
    began = time.monotonic()
    why = ""
    try:
        check(client)
    except NotOffered:
        print(f"{name}: not offered", flush=True)
        return True
    except (Failed, OSError, http.client.HTTPException) as error:
        why = _reason(error)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        why = f"the answer has an unexpected shape ({type(error).__name__}: {error})"
    took = (time.monotonic() - began) * 1000
    line = f"{'FAILED' if why else 'ok':<7} {name:<11} {took:>6.0f} ms  {' '.join(why.split())}"
    print(line[:LINE_LENGTH].rstrip(), flush=True)
    return not why


def _reason(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return str(error) or type(error).__name__
