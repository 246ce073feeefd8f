"""Signing in with a gateway key, and signing out."""

from __future__ import annotations

import logging

from flask import Blueprint, Response, g, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from wrapper.console import browser
from wrapper.console.access import SIGN_IN, current_sign_ins, needs_sign_in
from wrapper.console.page import NAME, show
from wrapper.errors import ApiError
from wrapper.routes.context import current_gateway

HOME = f"{NAME}.overview.show"
LONGEST_KEY = 1024

sign_in = Blueprint("sign_in", __name__)

log = logging.getLogger(__name__)


@sign_in.get("/sign-in", endpoint="show")
def show_form() -> BaseResponse:
    """Show the form, unless there is no need for it."""
    if g.wrapper_principal is not None or not needs_sign_in():
        return redirect(_target(), 303)
    return _form()


@sign_in.post("/sign-in")
def open_sign_in() -> BaseResponse:
    """Sign in with the key of the form, and give the browser another token."""
    try:
        current_gateway().limits.rates.sign_in(request.remote_addr or "")
        key = request.form.get("key", "").strip()[:LONGEST_KEY]
        fresh = current_sign_ins().open(key)
    except ApiError as error:
        log.info(
            "signing in is refused: %s, from %s", error.code or error.type, request.remote_addr
        )
        return _form(error)
    browser.renew(fresh)
    return redirect(_target(), 303)


@sign_in.post("/sign-out")
def close_sign_in() -> BaseResponse:
    """End the sign-in, so that its cookie opens nothing any more."""
    current_sign_ins().close(browser.token())
    browser.renew()
    return redirect(url_for(SIGN_IN), 303)


def _form(error: ApiError | None = None) -> Response:
    values = {"error": error and error.message, "target": _target()}
    response = show("sign_in.html", values, error.status if error else 200)
    if error and error.retry_after:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def _target() -> str:
    """Return the page to show after signing in: one of the console's own, whatever is asked for."""
    home = url_for(HOME)
    target = request.values.get("next", home)
    is_own = target == home or target.startswith((f"{home}/", f"{home}?"))
    return target if is_own and target.isprintable() and "\\" not in target else home
