"""The blueprint of the console: all of its pages, with their checks and headers."""

from __future__ import annotations

from functools import partial
from typing import Any, NoReturn

from flask import Blueprint, Flask, Response, g, redirect, request, url_for
from werkzeug.exceptions import NotFound

from wrapper.console import access, api_docs, browser, static_files
from wrapper.console.error_pages import register_error_pages
from wrapper.console.formats import FORMATS
from wrapper.console.headers import restrict
from wrapper.console.page import NAME, Page
from wrapper.console.pages.batches import batches
from wrapper.console.pages.chat import chat
from wrapper.console.pages.connect import connect
from wrapper.console.pages.files import files
from wrapper.console.pages.inbox import count_waiting, inbox
from wrapper.console.pages.keys import keys
from wrapper.console.pages.overview import overview
from wrapper.console.pages.requests import requests
from wrapper.console.pages.responses import responses
from wrapper.console.pages.sessions import sessions
from wrapper.console.pages.settings import settings_page
from wrapper.console.pages.usage import usage
from wrapper.console.sign_in import sign_in
from wrapper.routes.json_response import register_common_headers
from wrapper.version import __version__

# In the order of the navigation.
PAGES = (
    Page("Overview", overview),
    Page("Chat", chat),
    Page("Inbox", inbox),
    Page("Sessions", sessions),
    Page("Responses", responses),
    Page("Batches", batches),
    Page("Files", files),
    Page("Requests", requests),
    Page("Usage", usage),
    Page("Connect", connect),
    Page("Keys", keys, admins=True),
    Page("Settings", settings_page, admins=True),
)


def mount(app: Flask, url_prefix: str, docs_prefix: str) -> None:
    """Serve the console under *url_prefix* of *app*, which has a gateway.

    The page about its API is at *docs_prefix*.
    """
    app.register_blueprint(_build(), url_prefix=url_prefix)
    app.register_blueprint(static_files.build(), url_prefix=f"{url_prefix}/static")
    app.register_blueprint(api_docs.build(), url_prefix=docs_prefix)


def send_browsers(app: Flask) -> None:
    """Send browsers that ask for the root of *app* to the console."""

    @app.before_request
    def send() -> Any:
        asks = request.path == "/" and request.method in ("GET", "HEAD")
        # A program's */* is no wish for a page.
        if asks and "text/html" in request.headers.get("Accept", ""):
            return redirect(url_for(f"{NAME}.overview.show"))
        return None


def _build() -> Blueprint:
    console = Blueprint(NAME, __name__, template_folder="templates")
    register_common_headers(console)
    register_error_pages(console)
    console.before_request(partial(access.check, PAGES))
    console.context_processor(_shared_values)
    console.after_request(_complete)
    for views in (sign_in, *(page.views for page in PAGES)):
        console.register_blueprint(views)
    console.add_url_rule("/<path:rest>", view_func=_missing)
    return console


def _shared_values() -> dict[str, Any]:
    """Return what every template may use."""
    who = g.get("wrapper_principal")
    return {
        **FORMATS,
        "pages": [page for page in PAGES if who and (who.admin or not page.admins)],
        "principal": who,
        "signed_in": who is not None and access.needs_sign_in(),
        "count_waiting": count_waiting,
        "csrf_token": browser.csrf_token,
        "static": static_files.url_of,
        "version": __version__,
    }


def _complete(response: Response) -> Response:
    return restrict(browser.set_cookie(response))


def _missing(rest: str) -> NoReturn:
    raise NotFound
