"""A shop's own typed code around the gateway: mypy reads it, and it runs beside the wheel."""

from __future__ import annotations

from flask import Flask, Request

from wrapper import Gateway, __version__, create_app
from wrapper.services.principal import Principal
from wrapper.services.sessions.memory import MemoryStore
from wrapper.services.sessions.store import SessionStore
from wrapper.settings import Settings
from wrapper.testing import check_session_store
from wrapper.testing.engine import ScriptedEngine, answer
from wrapper.testing.upstream import Upstream

QUESTION = {"messages": [{"role": "user", "content": "Hello?"}]}


def known(request: Request) -> Principal | None:
    """Return who asks, as the shop knows them."""
    name = request.headers.get("x-customer")
    return Principal(name, requests_per_minute=60) if name else None


def build_shop(engine: ScriptedEngine, settings: Settings, store: SessionStore) -> Flask:
    shop = Flask(__name__)
    gateway = Gateway(settings, engine=engine, sessions=store, authenticate=known)
    gateway.init_app(shop, url_prefix="/ai/v1")
    return shop


def open_store(ttl: float) -> MemoryStore:
    return MemoryStore(ttl=ttl, count=10, size=10**7)


def check_store() -> None:
    """Hold the shop's store against the contract, in real time."""
    check_session_store(open_store)


def said(app: Flask, path: str) -> str:
    """Return what a customer gets to hear."""
    reply = app.test_client().post(path, json=QUESTION, headers={"x-customer": "ada"})
    return str(reply.get_json()["choices"][0]["message"]["content"])


def main() -> None:
    engine, settings = ScriptedEngine(lambda turn: answer("Good day.")), Settings()
    print(__version__)
    print(said(create_app(settings, engine=engine), "/v1/chat/completions"))
    print(said(build_shop(engine, settings, open_store(60)), "/ai/v1/chat/completions"))
    print(Upstream().url)


if __name__ == "__main__":
    main()
