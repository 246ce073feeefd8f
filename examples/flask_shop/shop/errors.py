"""The shop's own error pages. Errors of /ai/v1 are JSON, as OpenAI's."""

from __future__ import annotations

from flask import Flask, render_template
from werkzeug.exceptions import HTTPException

from claude_code_gateway import ApiError
from wrapper.routes import error_headers


def install(app: Flask) -> None:
    for status in (404, 405, 500):
        app.register_error_handler(status, show)
    app.register_error_handler(ApiError, show_unavailable)


def show(error: HTTPException) -> tuple[str, int]:
    """Show what is missing or wrong; the page of a 500 gives no details."""
    status = error.code or 500
    return render_template("error.html", status=status, why=error.description), status


def show_unavailable(error: ApiError) -> tuple[str, int, dict[str, str]]:
    """Show that the gateway cannot answer now."""
    why = "Our tea master is away. Please try again in a while."
    return render_template("error.html", status=503, why=why), 503, error_headers(error)
