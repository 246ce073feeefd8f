"""Who uses the console, checked before each view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from flask import Response, g, redirect, request, url_for

from wrapper.auth.guard import Guard
from wrapper.auth.sign_ins import SignIns
from wrapper.console import browser
from wrapper.console.page import NAME, Page, current, show
from wrapper.errors import PermissionDenied
from wrapper.routes.context import current_gateway, principal
from wrapper.services.background.offload.runner import caller_name
from wrapper.services.principal import Principal

SIGN_IN = f"{NAME}.sign_in.show"
# A form of the console has few fields, and none of them is long.
FORM_BYTES = 64 * 1024


def current_sign_ins() -> SignIns:
    """Return the sign-ins of the gateway that handles the request."""
    sign_ins: SignIns = current_gateway().sign_ins
    return sign_ins


def needs_sign_in() -> bool:
    """Say whether people have to show a key here: without keys, or in an app, they need not."""
    guard: Guard = current_gateway().guard
    return guard.needs_key and not guard.asks_app


def visitor() -> Principal | None:
    """Return who uses the console, or None where they have to sign in.

    Raises what the guard raises where there is no sign-in.
    """
    if needs_sign_in():
        return current_sign_ins().holder(browser.token())
    guard: Guard = current_gateway().guard
    return guard.check(request)


def check(pages: Sequence[Page]) -> Response | None:
    """Check who asks for one of *pages*, and that the browser's user means to send this."""
    if browser.comes_from_elsewhere():
        return show("continue.html")
    request.max_content_length = FORM_BYTES
    g.wrapper_principal = visitor()
    if g.wrapper_principal is None and request.blueprint != SIGN_IN.rpartition(".")[0]:
        return _sign_in()
    if request.method not in ("GET", "HEAD"):
        browser.check_csrf()
    if g.wrapper_principal:
        _admit(current(pages))
    return None


def _admit(page: Page | None) -> None:
    if page and page.admins and not principal().admin:
        raise PermissionDenied(f"Only an admin's key may see {page.title}.")
    caller_name.set(principal().name)
    current_gateway().limits.rates.read(principal())
    current_gateway().start()


def _sign_in() -> Response:
    """Send the browser to the page for signing in, and then back here."""
    if "text/event-stream" in request.headers.get("Accept", ""):
        return Response(status=204)  # so that the browser asks no more, and the page says so
    target = url_for(SIGN_IN, next=request.full_path.rstrip("?") if _is_page() else None)
    if "HX-Request" in request.headers:  # htmx would put the page into a part of this one
        return Response(status=204, headers={"HX-Redirect": url_for(SIGN_IN)})
    return cast(Response, redirect(target, 303))


def _is_page() -> bool:
    return request.method == "GET" and request.accept_mimetypes.accept_html
