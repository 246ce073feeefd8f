"""The browser that asks: its cookie, its CSRF token, and whether another site sent it here.

The cookie has a random token and nothing else. It identifies a sign-in, if there is one, and the
CSRF token follows from it, so that a page without a sign-in has one, too.
"""

from __future__ import annotations

import hashlib
import hmac
import re

from flask import Response, g, request, url_for

from wrapper.auth.sign_ins import SECONDS, new_token
from wrapper.console.page import NAME
from wrapper.errors import PermissionDenied

CSRF_FIELD = "csrf_token"
CSRF_HEADER = "X-CSRF-Token"
_TOKEN = re.compile(r"[\w-]{43}", re.ASCII)
# Browsers send it with every request to a trustworthy origin, and pages cannot set it.
SITE = "Sec-Fetch-Site"


def token() -> str:
    """Return the token of the browser's cookie; a browser without one gets a new one."""
    if "console_token" not in g:
        sent = request.cookies.get(_cookie_name(), "")
        g.console_token = sent if _TOKEN.fullmatch(sent) else _renewed()
    return str(g.console_token)


def renew(fresh: str = "") -> None:
    """Give the browser another token."""
    g.console_token = _renewed(fresh)


def csrf_token() -> str:
    return hmac.new(token().encode(), b"csrf", hashlib.sha256).hexdigest()


def check_csrf() -> None:
    """Raise PermissionDenied unless one of the console's own pages in this browser has sent this.

    The header is read first, since a form's field is in the body.
    """
    if request.headers.get(SITE, "same-origin") != "same-origin":
        raise PermissionDenied("Another site's page has sent this; it was not done.")
    sent = request.headers.get(CSRF_HEADER) or request.form.get(CSRF_FIELD, "")
    if not hmac.compare_digest(sent.encode(), csrf_token().encode()):
        raise PermissionDenied("This page is too old, and nothing was done. Load it again.")


def comes_from_elsewhere() -> bool:
    """Say whether a link of another site led here: the browser then has sent no cookie."""
    return request.headers.get(SITE) == "cross-site" and request.method in ("GET", "HEAD")


def set_cookie(response: Response) -> Response:
    """Send the browser its token if it is new."""
    if "console_new_token" in g:
        response.set_cookie(
            _cookie_name(),
            g.console_new_token,
            max_age=SECONDS,
            path=url_for(f"{NAME}.overview.show"),
            secure=request.is_secure,
            httponly=True,
            samesite="Strict",
        )
    return response


def _renewed(fresh: str = "") -> str:
    g.console_new_token = fresh or new_token()
    return str(g.console_new_token)


def _cookie_name() -> str:
    """Return the cookie's name; that prefix keeps pages without TLS from setting it."""
    return "__Secure-console" if request.is_secure else "console"
