"""The page that shows the OpenAPI document, from which one can send requests."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, url_for

from wrapper.console import static_files
from wrapper.console.headers import restrict
from wrapper.console.page import show as show_template
from wrapper.routes.context import current_gateway
from wrapper.routes.error_handlers import register_error_handlers
from wrapper.routes.json_response import register_common_headers

DOCUMENT = "wrapper.docs.read_document"


def build() -> Blueprint:
    """Return a new blueprint of the page, which needs no key, as the document needs none."""
    docs = Blueprint("api_docs", __name__, template_folder="templates")
    register_common_headers(docs)
    register_error_handlers(docs)
    docs.after_request(restrict)
    docs.add_url_rule("", view_func=show, strict_slashes=False)
    return docs


def show() -> Response:
    """Show the page. Raises UnknownUrl if apispec is not installed."""
    current_gateway().document(current_app)
    values = {"document": url_for(DOCUMENT), "static": static_files.url_of}
    return show_template("api_docs.html", values)
