"""The errors of the shop's own pages, told as pages. Those of /ai/v1 are told as OpenAI's are."""

from __future__ import annotations

from flask import Flask, render_template
from werkzeug.exceptions import HTTPException

from wrapper import ApiError
from wrapper.routes import error_headers


def install(app: Flask) -> None:
    for status in (404, 405, 500):
        app.register_error_handler(status, show)
    app.register_error_handler(ApiError, show_away)


def show(error: HTTPException) -> tuple[str, int]:
    """Tell of what is missing or wrong, and of a fault of the shop's no more than that."""
    status = error.code or 500
    return render_template("error.html", status=status, why=error.description), status


def show_away(error: ApiError) -> tuple[str, int, dict[str, str]]:
    """Tell of a page for which the gateway was asked in vain."""
    why = "Our tea master is away. Please try again in a while."
    return render_template("error.html", status=503, why=why), 503, error_headers(error)
