"""A page of the console, and what all templates need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, render_template, request, url_for

NAME = "console"


@dataclass(frozen=True)
class Page:
    """A page of the navigation: its title, and the views whose `show` it opens.

    `admins` says that only admins may use any of the views.
    """

    title: str
    views: Blueprint
    admins: bool = False

    @property
    def url(self) -> str:
        return url_for(f"{NAME}.{self.views.name}.show")

    @property
    def is_current(self) -> bool:
        return self.views.name in (request.blueprint or "").split(".")


def show(template: str, values: Mapping[str, Any] = {}, status: int = 200) -> Response:
    """Return the page or fragment that the *template* of the console makes of *values*."""
    return Response(render_template(f"console/{template}", **values), status, mimetype="text/html")


def wants_part() -> bool:
    """Say whether htmx asks for a part of the page, and not for a whole page in its place."""
    return "HX-Request" in request.headers and "HX-Boosted" not in request.headers


def current(pages: Sequence[Page]) -> Page | None:
    """Return the page whose view handles the request."""
    return next((page for page in pages if page.is_current), None)
