"""The page about the API."""

import sys

from flask import Flask

from tests.support.console_client import ConsoleClient
from tests.support.scripted_server import ScriptedServer
from wrapper import Gateway
from wrapper.console.headers import PAGE_HEADERS
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine


def test_page():
    """The page needs no key, names the document, and forbids what other pages forbid."""
    page = ConsoleClient(ScriptedServer(api_key="sk-right").app).open("/docs")
    assert page.status_code == 200
    assert 'data-url="/v1/openapi.json"' in page.text
    assert page.headers["Content-Security-Policy"] == PAGE_HEADERS["Content-Security-Policy"]


def test_link():
    """The console leads to the page."""
    assert 'href="/docs"' in ConsoleClient(ScriptedServer().app).open().text


def test_console_turned_off():
    """CONSOLE=false turns the page off, too."""
    page = ConsoleClient(ScriptedServer(console=False).app).open("/docs")
    assert page.status_code == 404


def test_apispec_missing(monkeypatch):
    """Without apispec the page says what to install."""
    monkeypatch.setitem(sys.modules, "wrapper.openapi", None)
    monkeypatch.setitem(sys.modules, "apispec", None)
    page = ConsoleClient(ScriptedServer().app).open("/docs")
    assert page.status_code == 404
    assert "claude-code-gateway[docs]" in page.text


def test_in_an_app():
    """An app chooses where the page is; it shows the document under the app's own prefix."""
    app = Flask(__name__)
    gateway = Gateway(Settings(), engine=ScriptedEngine())
    gateway.init_app(app, "/ai/v1")
    gateway.init_console(app, "/ai/console", docs_prefix="/ai/docs")
    page = app.test_client().get("/ai/docs", base_url="http://127.0.0.1")
    assert 'data-url="/ai/v1/openapi.json"' in page.text
