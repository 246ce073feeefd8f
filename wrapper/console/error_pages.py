"""Error pages: what the API would answer, written for people."""

from __future__ import annotations

from typing import cast

from flask import Blueprint, Response, render_template, request
from werkzeug.exceptions import HTTPException, NotFound, default_exceptions

from wrapper.errors import ApiError, UnknownUrl
from wrapper.routes.error_handlers import handle_api_error, handle_crash, handle_http_exception

TITLES = {
    400: "That did not work",
    401: "You are not signed in",
    403: "Not allowed",
    404: "Not found",
    409: "Something else has changed it",
    429: "Too many requests",
    503: "Not available right now",
}


def register_error_pages(target: Blueprint) -> None:
    """Answer every error that a view of *target* raises with a page."""
    target.register_error_handler(ApiError, lambda error: as_page(handle_api_error(error)))
    target.register_error_handler(HTTPException, _handle_http_exception)
    for status in default_exceptions:  # these take precedence over the surrounding app's handlers
        target.register_error_handler(status, _handle_http_exception)
    target.register_error_handler(Exception, lambda error: as_page(handle_crash(error)))


def as_page(answer: Response) -> Response:
    """Return *answer*, an error in JSON, as a page, or as a notice for a page that htmx changes."""
    whole = "HX-Request" not in request.headers
    title = TITLES.get(answer.status_code, "Something went wrong")
    message = cast(dict[str, dict[str, str]], answer.get_json())["error"]["message"]
    template = "console/error.html" if whole else "console/_notice.html"
    answer.set_data(render_template(template, title=title, message=message))
    answer.mimetype = "text/html"
    return answer


def _handle_http_exception(error: HTTPException) -> Response:
    if error.response is not None:
        return cast(Response, error.response)
    if isinstance(error, NotFound):
        return as_page(handle_api_error(UnknownUrl("There is no such page in the console.")))
    return as_page(handle_http_exception(error))
