"""Typed code of an app around the gateway, for mypy and for a run beside the wheel."""

from __future__ import annotations

from flask import Flask, Request

from claude_code_gateway import Gateway, Principal, Settings, __version__, create_app
from wrapper.services.responses.memory_store import MemoryResponseStore
from wrapper.services.sessions.memory_store import MemorySessionStore
from wrapper.services.sessions.store import SessionStore
from wrapper.testing import (
    ScriptedEngine,
    Upstream,
    check_engine,
    check_response_store,
    check_session_store,
    say,
)
from wrapper.testing.engine import answer

QUESTION = [{"role": "user", "content": "Hello?"}]


def known(request: Request) -> Principal | None:
    """Return the caller as the app knows it."""
    name = request.headers.get("x-customer")
    return Principal(name, requests_per_minute=60) if name else None


def build_shop(engine: ScriptedEngine, settings: Settings, store: SessionStore) -> Flask:
    shop = Flask(__name__)
    responses = open_response_store(settings.session_ttl)
    gateway = Gateway(
        settings, engine=engine, sessions=store, responses=responses, authenticate=known
    )
    gateway.init_app(shop, url_prefix="/ai/v1")

    @shop.get("/greeting")
    def greet() -> str:
        return gateway.chat.complete(QUESTION).text

    return shop


def open_store(ttl: float) -> MemorySessionStore:
    return MemorySessionStore(ttl=ttl, count=10, size=10**7)


def open_response_store(ttl: float) -> MemoryResponseStore:
    return MemoryResponseStore(ttl=ttl, count=100, size=10**8)


def check_parts() -> None:
    """Check the app's own stores and engine against their contracts, in real time."""
    check_session_store(open_store)
    check_response_store(open_response_store)
    check_engine(ScriptedEngine, say("Hello?"), say("Go on."))


def said(app: Flask, path: str) -> str:
    """Return the answer that a customer gets."""
    reply = app.test_client().post(path, json={"messages": QUESTION}, headers={"x-customer": "ada"})
    return str(reply.get_json()["choices"][0]["message"]["content"])


def main() -> None:
    engine, settings = ScriptedEngine(lambda turn: answer("Good day.")), Settings()
    print(__version__)
    print(said(create_app(settings, engine=engine), "/v1/chat/completions"))
    shop = build_shop(engine, settings, open_store(60))
    print(said(shop, "/ai/v1/chat/completions"))
    print(shop.test_client().get("/greeting").text)
    print(Upstream().url)


if __name__ == "__main__":
    main()
