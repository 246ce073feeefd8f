"""The smoke test: what a running server answers, seen from outside over HTTP.

python -m wrapper.smoke URL
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

CHAT = "/v1/chat/completions"
ASKED = {"messages": [{"role": "user", "content": "Answer with the one word OK."}]}
SECONDS = 180.0
LINE_LENGTH = 300


class Failed(Exception):
    """Raised when the server does not answer as it should; the message says what was wrong."""


class NotOffered(Exception):
    """Raised when the server does not have what was to be checked."""


class Client:
    """Calls the server at *url*, with or without a final /v1. ValueError: it is no http(s) URL."""

    def __init__(self, url: str, key: str = ""):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no URL of a server; give one like http://127.0.0.1:8000")
        kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
        self._kind = kinds[parts.scheme]
        self._host, self._port = parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/").removesuffix("/v1")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """Return status and body; raises OSError or HTTPException where there is none."""
        connection = self._kind(self._host, self._port, timeout=SECONDS)
        headers = {**self._headers, "Content-Type": "application/json"}
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, f"{self._prefix}{path}", data, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the parsed body of an answer of status 200; raises Failed for others."""
        return _parse(self.good(method, path, body))

    def good(self, method: str, path: str, body: Any = None) -> bytes:
        """Return the body of an answer of a good status; raises Failed for others."""
        status, data = self.call(method, path, body)
        if not 200 <= status < 300:
            raise Failed(f"status {status}: {_told(data)}")
        return data


def check_health(client: Client) -> None:
    status, data = client.call("GET", "/health")
    report = _parse(data)
    pools = report.get("pools", {}).values()
    errors = [pool["error"] for pool in pools if pool.get("error")]
    _expect(status == 200, f"status {status}: {'; '.join(errors) or _told(data)}")
    _expect(report["status"] in ("ok", "starting"), f"{report['status']}: {'; '.join(errors)}")


def check_models(client: Client) -> None:
    listed = client.ask("GET", "/v1/models")
    _expect(listed["object"] == "list", "it is no list")
    _expect(listed["data"], "there are no models")
    for model in listed["data"]:
        good = model["object"] == "model" and isinstance(model["created"], int)
        _expect(good and model["owned_by"], f"{model['id']} is no model object")
    first = listed["data"][0]["id"]
    found = client.ask("GET", f"/v1/models/{quote(first)}")
    _expect(found["id"] == first, f"asked for {first}, it tells of {found['id']}")


def check_auth(client: Client) -> None:
    status = client.ask("GET", "/v1/auth/status")
    _expect(status["ready"] is True, f"{status['method']}: {'; '.join(status['missing'])}")


def check_completion(client: Client) -> None:
    _check_answer(client.ask("POST", CHAT, ASKED))


def check_stream(client: Client) -> None:
    text = client.good("POST", CHAT, {**ASKED, "stream": True}).decode()
    events = [event for event in text.split("\n\n") if event and not event.startswith(":")]
    _expect(bool(events) and events[-1] == "data: [DONE]", f"no [DONE] at its end: {text[-200:]}")
    chunks = [_parse(event.removeprefix("data: ").encode()) for event in events[:-1]]
    for chunk in chunks:
        _expect("error" not in chunk, _told(json.dumps(chunk).encode()))
        _expect(chunk["object"] == "chat.completion.chunk", f"this is no chunk: {chunk}")
    _expect(len({chunk["id"] for chunk in chunks}) == 1, "its chunks do not have one id")
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    _expect(choices[0]["delta"].get("role") == "assistant", "its first chunk names no role")
    said = "".join(choice["delta"].get("content") or "" for choice in choices)
    _expect(said, "it says nothing")
    _expect(choices[-1]["finish_reason"] is not None, "its last chunk has no finish_reason")


def check_sessions(client: Client) -> None:
    if client.call("GET", "/v1/sessions")[0] in (400, 404):  # SESSION_STORE=none, or an older one
        raise NotOffered
    client.ask("GET", "/v1/sessions")
    name = f"smoke-{uuid.uuid4().hex}"
    _check_answer(client.ask("POST", CHAT, {**ASKED, "session_id": name}))
    client.good("GET", f"/v1/sessions/{name}")
    client.good("DELETE", f"/v1/sessions/{name}")
    _expect(client.call("GET", f"/v1/sessions/{name}")[0] == 404, "a deleted one is still there")


CHECKS: dict[str, Callable[[Client], None]] = {
    "health": check_health,
    "models": check_models,
    "auth": check_auth,
    "completion": check_completion,
    "stream": check_stream,
    "sessions": check_sessions,
}


def run(client: Client) -> bool:
    """Print a line for each check, and return whether all were good."""
    good = [_run_one(what, check, client) for what, check in CHECKS.items()]
    return all(good)


def main(arguments: Sequence[str]) -> int:
    """Return the exit status: 0 all is well, 1 something is not, 2 this is not how it is called."""
    if len(arguments) != 1:
        print("usage: python -m wrapper.smoke URL", file=sys.stderr)
        return 2
    try:
        client = Client(arguments[0], os.environ.get("API_KEY", ""))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        client.call("GET", "/health")
    except (OSError, http.client.HTTPException) as error:
        print(f"FAILED  {arguments[0]} cannot be reached: {_reason(error)}", flush=True)
        return 1
    return 0 if run(client) else 1


def _run_one(what: str, check: Callable[[Client], None], client: Client) -> bool:
    began = time.monotonic()
    why = ""
    try:
        check(client)
    except NotOffered:
        print(f"{what}: not offered", flush=True)
        return True
    except (Failed, OSError, http.client.HTTPException) as error:
        why = _reason(error)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        why = f"its shape is not the one expected ({type(error).__name__}: {error})"
    took = (time.monotonic() - began) * 1000
    line = f"{'FAILED' if why else 'ok':<7} {what:<11} {took:>6.0f} ms  {' '.join(why.split())}"
    print(line[:LINE_LENGTH].rstrip(), flush=True)
    return not why


def _check_answer(body: Any) -> None:
    _expect(body["object"] == "chat.completion", f"its object is {body['object']}")
    choice = body["choices"][0]
    _expect(choice["message"]["role"] == "assistant", "its role is not assistant")
    _expect(choice["message"]["content"], "it says nothing")
    _expect(choice["finish_reason"] is not None, "it has no finish_reason")
    _expect(body["usage"]["completion_tokens"] > 0, "its usage counts no tokens")


def _expect(holds: Any, why: str) -> None:
    if not holds:
        raise Failed(why)


def _parse(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        raise Failed(f"this is no JSON: {data[:100].decode(errors='replace')!r}") from None


def _told(data: bytes) -> str:
    """Return what an error's body says."""
    try:
        error = json.loads(data)["error"]
        return f"{error['code']}: {error['message']}"
    except (ValueError, KeyError, TypeError):
        return data[:200].decode(errors="replace") or "an empty answer"


def _reason(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return str(error) or type(error).__name__


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
