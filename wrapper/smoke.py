"""The smoke test `python -m wrapper.smoke URL`, which checks a running server over HTTP."""

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
RESPONSES = "/v1/responses"
QUESTION = "Answer with the one word OK."
BODY = {"messages": [{"role": "user", "content": QUESTION}]}
SECONDS = 180.0
LINE_LENGTH = 300


class Failed(Exception):
    """Raised when an answer of the server is wrong; the message says how."""


class NotOffered(Exception):
    """Raised when the server does not offer the feature to be checked."""


class Client:
    """Calls the server at *url*, which may end in /v1. Raises ValueError if it is not http(s)."""

    def __init__(self, url: str, key: str = ""):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(
                f"{url!r} is not the URL of a server; give one like http://127.0.0.1:8000"
            )
        kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
        self._kind = kinds[parts.scheme]
        self._host, self._port = parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/").removesuffix("/v1")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """Return status and body; raises OSError or HTTPException if there is no answer."""
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
        """Return the parsed body of a successful answer; raises Failed for others."""
        return _parse(self.succeed(method, path, body))

    def succeed(self, method: str, path: str, body: Any = None) -> bytes:
        """Return the body of a successful answer; raises Failed for others."""
        status, data = self.call(method, path, body)
        if not 200 <= status < 300:
            raise Failed(f"status {status}: {_error_text(data)}")
        return data


def check_health(client: Client) -> None:
    status, data = client.call("GET", "/health")
    report = _parse(data)
    parts = [*report.get("pools", {}).values(), *report.values()]
    errors = [part["error"] for part in parts if isinstance(part, dict) and part.get("error")]
    _expect(status == 200, f"status {status}: {'; '.join(errors) or _error_text(data)}")
    _expect(report["status"] in ("ok", "starting"), f"{report['status']}: {'; '.join(errors)}")


def check_models(client: Client) -> None:
    listed = client.ask("GET", "/v1/models")
    _expect(listed["object"] == "list", "the answer is not a list")
    _expect(listed["data"], "there are no models")
    for model in listed["data"]:
        good = model["object"] == "model" and isinstance(model["created"], int)
        _expect(good and model["owned_by"], f"{model['id']} is not a model object")
    first = listed["data"][0]["id"]
    model = client.ask("GET", f"/v1/models/{quote(first)}")
    _expect(model["id"] == first, f"the model {first} has the id {model['id']}")


def check_auth(client: Client) -> None:
    status = client.ask("GET", "/v1/auth/status")
    _expect(status["ready"] is True, f"{status['method']}: {'; '.join(status['missing'])}")


def check_completion(client: Client) -> None:
    _check_answer(client.ask("POST", CHAT, BODY))


def check_stream(client: Client) -> None:
    text = client.succeed("POST", CHAT, {**BODY, "stream": True}).decode()
    events = [event for event in text.split("\n\n") if event and not event.startswith(":")]
    _expect(
        bool(events) and events[-1] == "data: [DONE]",
        f"the stream ends without [DONE]: {text[-200:]}",
    )
    chunks = [_parse(event.removeprefix("data: ").encode()) for event in events[:-1]]
    for chunk in chunks:
        _expect("error" not in chunk, _error_text(json.dumps(chunk).encode()))
        _expect(chunk["object"] == "chat.completion.chunk", f"this is not a chunk: {chunk}")
    _expect(
        len({chunk["id"] for chunk in chunks}) == 1,
        "the chunks have different ids, or there are none",
    )
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    _expect(choices[0]["delta"].get("role") == "assistant", "the first chunk has no role")
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    _expect(text, "the answer is empty")
    _expect(choices[-1]["finish_reason"] is not None, "the last chunk has no finish_reason")


def check_responses(client: Client) -> None:
    response = client.ask("POST", RESPONSES, {"input": QUESTION})
    _expect(response["object"] == "response", "the answer is not a response")
    _expect(response["status"] == "completed", f"the response is {response['status']}")
    texts = [part["text"] for item in response["output"] for part in item.get("content", ())]
    _expect("".join(texts), "the answer is empty")


def check_sessions(client: Client) -> None:
    if client.call("GET", "/v1/sessions")[0] in (400, 404):  # SESSION_STORE=none, or an old server
        raise NotOffered
    client.ask("GET", "/v1/sessions")
    session_id = f"smoke-{uuid.uuid4().hex}"
    _check_answer(client.ask("POST", CHAT, {**BODY, "session_id": session_id}))
    client.succeed("GET", f"/v1/sessions/{session_id}")
    client.succeed("DELETE", f"/v1/sessions/{session_id}")
    _expect(
        client.call("GET", f"/v1/sessions/{session_id}")[0] == 404,
        "the deleted session still exists",
    )


CHECKS: dict[str, Callable[[Client], None]] = {
    "health": check_health,
    "models": check_models,
    "auth": check_auth,
    "completion": check_completion,
    "stream": check_stream,
    "responses": check_responses,
    "sessions": check_sessions,
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


def _check_answer(body: Any) -> None:
    _expect(body["object"] == "chat.completion", f"the object is {body['object']}")
    choice = body["choices"][0]
    _expect(choice["message"]["role"] == "assistant", "the role is not assistant")
    _expect(choice["message"]["content"], "the answer is empty")
    _expect(choice["finish_reason"] is not None, "there is no finish_reason")
    _expect(body["usage"]["completion_tokens"] > 0, "the usage has no tokens")


def _expect(holds: Any, why: str) -> None:
    if not holds:
        raise Failed(why)


def _parse(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        raise Failed(f"this is not JSON: {data[:100].decode(errors='replace')!r}") from None


def _error_text(data: bytes) -> str:
    """Return the code and message in an error's body."""
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
