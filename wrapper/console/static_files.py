"""The console's scripts and styles, which browsers may keep."""

from __future__ import annotations

import zlib
from functools import cache
from pathlib import Path

from flask import Blueprint, Response, request, send_from_directory, url_for

from wrapper.routes.json_response import register_common_headers

FOLDER = Path(__file__).with_name("static")
SECONDS = 7 * 86_400


def build() -> Blueprint:
    """Return a new blueprint of the files, which hold no data and need no key."""
    files = Blueprint("console_files", __name__)
    register_common_headers(files)
    files.add_url_rule("/<path:name>", view_func=send)
    return files


def send(name: str) -> Response:
    # Scripts import each other without a stamp; browsers then ask whether the file has changed.
    age = SECONDS if "v" in request.args else 0
    response = send_from_directory(FOLDER, name, max_age=age)
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    return response


def url_of(name: str) -> str:
    """Return the address of a file, which changes with the file."""
    return url_for("console_files.send", name=name, v=_stamp(name))


@cache
def _stamp(name: str) -> str:
    return f"{zlib.crc32((FOLDER / name).read_bytes()):08x}"
