"""The headers that restrict what the console's pages may do in a browser."""

from __future__ import annotations

from flask import Response

# No inline script or style, nothing of other origins, and no page around it.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
PAGE_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Vary": "Cookie",
}


def restrict(response: Response) -> Response:
    """Add the headers; a page is never cached, so that nobody sees it after signing out."""
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.update(PAGE_HEADERS)
    return response
