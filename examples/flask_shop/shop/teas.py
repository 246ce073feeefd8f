"""The teas and their pages, which do not use the gateway."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, abort, render_template


@dataclass(frozen=True)
class Tea:
    title: str
    origin: str
    reviews: tuple[str, ...]


TEAS = {
    "sencha": Tea(
        "Sencha",
        "Shizuoka, Japan",
        ("Like a meadow after rain.", "Turns bitter where the water is too hot."),
    ),
    "assam": Tea(
        "Assam",
        "Brahmaputra valley, India",
        ("Strong, malty, and it takes milk.", "Too strong for the evening."),
    ),
    "rooibos": Tea(
        "Rooibos",
        "Cederberg, South Africa",
        ("Sweet by itself.", "My children drink it.", "It is no tea, but I like it."),
    ),
}

pages = Blueprint("teas", __name__)


@pages.get("/")
def home() -> str:
    return render_template("teas.html", teas=TEAS)


@pages.get("/teas/<name>")
def show(name: str) -> str:
    return render_template("tea.html", name=name, tea=find(name))


def find(name: str) -> Tea:
    """Return a tea, or answer with a 404."""
    return TEAS.get(name) or abort(404, "We have no such tea.")
