"""The soak's hostile traffic: of callers, models and web pages, each with its expected outcome."""

from __future__ import annotations

import gzip
import json

from bench.keys import BUDGET_USD, BUDGETED, LIMITED, REQUESTS_PER_MINUTE, USUAL, key_of
from bench.traffic import Asker, Kind, Wrong, say
from tests.support.server import MODEL
from tests.support.socket_client import Client
from wrapper.auth.key_file import hash_of

PATH = "/v1/chat/completions"
HELLO = {"model": MODEL, "messages": [{"role": "user", "content": "[[say hi]]"}]}
BOMB_BYTES = 64 * 1024**2
FLOOD = 20
# A round has 1,000 input tokens at $3 a million, and a few output tokens. Nine exceed the budget.
ROUND_USD = 0.0032
LOOP = '[[say end]] [[usage {"input_tokens": 1000}]] ' + " ".join(
    f'[[tool Bash {{"command": "echo {number}"}}]]' for number in range(9)
)
# No agent may read these files.
SECRET = "root:"  # noqa: S105 - how /etc/passwd begins
READING = (
    "tree --fromfile /etc/passwd",
    "cat < /etc/passwd",
    "grep -R root: /etc/passwd",
    "rg -L root: /etc/passwd",
    "cat .*/*/passwd",
    "head /proc/self/../../etc/passwd",
)


def _sends(
    *statuses: int, body: bytes = b"", path: str = PATH, method: str = "POST", **headers: str
) -> Kind:
    """Return a kind that sends this request, and expects JSON with one of *statuses*."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def send(asker: Asker) -> None:
        status, answer_headers, data = asker.call(
            method, path, body or json.dumps(HELLO).encode(), named
        )
        if status not in statuses or "application/json" not in answer_headers["content-type"]:
            raise Wrong(f"{method} {path} {named}: {status} {data[-200:]!r}, not {statuses}")
        json.loads(data)

    return send


def send_malformed_chunks(asker: Asker) -> None:
    with Client(asker.server) as client:
        client.send(f"{asker.head()}Transfer-Encoding: chunked\r\n\r\nzz\r\n".encode()).finish()
        answer = client.read_until(b"invalid_request_error")
    if answer[:12] not in (b"HTTP/1.1 400", b"HTTP/1.1 408"):
        raise Wrong(f"{answer!r:.200} instead of a 400 or 408")


def read_secret_files(asker: Asker) -> None:
    asker.profile = "agent"
    command = json.dumps({"command": asker.chance.choice(READING)})
    reply = asker.ask(f"[[result]] [[tool Bash {command}]]")
    if SECRET in reply.text:
        raise Wrong(f"{command}: {reply.text!r:.200}")


def run_a_tool_of_the_past(asker: Asker) -> None:
    """Send a conversation with a function call: it must not run commands as an agent."""
    word = asker.word()
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    command = json.dumps({"command": f"echo {word}$((1+1))"})
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "1"},
        {"role": "user", "content": f"[[result]] [[tool Bash {command}]]"},
    ]
    status, _, data = asker.call("POST", PATH, {"model": MODEL, "messages": messages})
    if f"{word}2".encode() in data:
        raise Wrong(f"{status} {data!r:.200}: a command ran")


def loop_beyond_a_budget(asker: Asker) -> str:
    """Run an agent in a loop: it must end at most one round after its key's budget is spent."""
    asker.key = asker.chance.choice(BUDGETED)
    messages = [{"role": "user", "content": LOOP}]
    stream = asker.chance.random() < 0.5
    body = {"model": MODEL, "messages": messages, "claude": {"profile": "agent"}, "stream": stream}
    status, headers, data = asker.call("POST", PATH, body)
    if "insufficient_quota" not in f"{headers} {data!r}":
        raise Wrong(f"{asker.key}: {status} {data[-300:]!r}: not ended by a budget")
    spent = _spent_usd(asker)
    if spent > BUDGET_USD + ROUND_USD:
        raise Wrong(f"{asker.key}: ${spent} spent of ${BUDGET_USD}")
    return "ended early by a budget" if status == 200 else "refused for a spent budget"


def _spent_usd(asker: Asker) -> float:
    data = asker.call("GET", "/v1/usage")[2]
    return float(json.loads(data)["budgets"]["usd_per_day"]["spent_usd"])


def flood(asker: Asker) -> str:
    """Exceed a key's rate: the key gets 429 with Retry-After, and another key is served."""
    asker.key = LIMITED
    answers = [asker.call("POST", PATH, HELLO) for _ in range(FLOOD)]
    for status, headers, data in answers:
        after = headers.get("retry-after", "")
        if status != 200 and not (status == 429 and after.isdigit() and 1 <= int(after) <= 60):
            raise Wrong(
                f"{status}, Retry-After {after!r}, {data[-200:]!r}: not a valid answer to a flood"
            )
    served = sum(status == 200 for status, _, _ in answers)
    if served > 2 * REQUESTS_PER_MINUTE:  # the flood may last from one minute into the next
        raise Wrong(f"{served} of {FLOOD} served with {REQUESTS_PER_MINUTE} a minute")
    asker.key = USUAL
    say(asker)
    return "refused over a rate"


# Each kind with its weight among the others.
HOSTILE: dict[Kind, int] = {
    _sends(400, body=b'{"messages": [], "messages": []}'): 1,
    _sends(400, body=b'{"a":' * 50_000): 1,
    _sends(413, body=gzip.compress(bytes(BOMB_BYTES)), Content_Encoding="gzip"): 1,
    _sends(415, Content_Encoding="compress"): 1,
    # A web page has no key.
    _sends(401, Authorization="", Origin="https://evil.test"): 1,
    _sends(401, Authorization="", Sec_Fetch_Site="cross-site"): 1,
    _sends(401, Authorization="", Host="evil.test"): 1,
    _sends(401, Authorization="Bearer sk-wrong"): 1,
    _sends(401, Authorization="", api_key="sk-wrong"): 1,
    _sends(401, Authorization=f"Bearer {hash_of(key_of(USUAL))}"): 1,
    _sends(404, path="/v1/foo%0a2026-01-01%20forged%1b[31m", method="GET"): 1,
    _sends(200, 400, 404, SCRIPT_NAME="/x"): 1,
    _sends(200, path="/v1//chat/completions"): 1,
    send_malformed_chunks: 1,
    read_secret_files: 2,
    run_a_tool_of_the_past: 1,
    loop_beyond_a_budget: 3,
    flood: 2,
}
