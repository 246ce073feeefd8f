"""The callers' keys, for admins: create one, change its limits, delete its data, revoke it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from wrapper.auth import key_editor
from wrapper.auth.key_file import KeyFile, KeysError
from wrapper.console import key_form
from wrapper.console.page import show as show_template
from wrapper.console.pages.connect import models, steps
from wrapper.console.snippets import CLIENTS
from wrapper.errors import Conflict, InvalidRequest, KeyNotFound, Unavailable
from wrapper.routes.context import current_gateway, principal
from wrapper.schemas.base import load_data
from wrapper.schemas.key_data import KEY_PATH
from wrapper.schemas.keys import check_name
from wrapper.services.key_data import Deletion
from wrapper.services.principal import Principal
from wrapper.settings import Settings

keys = Blueprint("keys", __name__, url_prefix="/keys")

log = logging.getLogger(__name__)


@keys.get("")
def show() -> Response:
    """List the keys with their limits."""
    return _list()


@keys.post("")
def create() -> Response:
    """Create a key, and show it this once."""
    name = request.form.get("name", "").strip()
    try:
        check_name(name)
    except ValueError as error:
        return _list(error=f"{error}.", name=name, status=400)
    if name in _file().names():
        return _list(error=f"The key {name} exists already.", name=name, status=409)
    with _changes("create", name):
        secret = key_editor.add(_settings().api_keys_file, name)
    return _list(secret=secret, made=name)


@keys.get("/key")
def read() -> Response:
    """Show the limits of one key, to change them."""
    holder = _named(request.args.get("name", ""))
    return show_template("key.html", {"key": holder.name, "form": key_form.form_of(holder)})


@keys.post("/key")
def change() -> BaseResponse:
    """Set the limits of one key; they hold from its next request on."""
    holder = _named(request.form.get("name", ""))
    ceilings, mistakes = key_form.read(request.form, holder.name, _settings())
    if holder.name == principal().name and "admin" not in ceilings:
        mistakes["admin"] = "You are signed in with this key: only another admin can change that."
    if mistakes:
        form = key_form.with_mistakes(request.form, mistakes)
        return show_template("key.html", {"key": holder.name, "form": form}, 400)
    with _changes("change", holder.name):
        key_editor.limit(_settings().api_keys_file, holder.name, ceilings)
    return redirect(url_for(".show"), 303)


@keys.post("/revoke")
def revoke() -> BaseResponse:
    """Revoke one key; turns that run may finish."""
    _revoke(_named(request.form.get("name", "")).name)
    return redirect(url_for(".show"), 303)


@keys.post("/delete-data")
def delete_data() -> Response:
    """Delete all that one key has stored, and revoke the key before if that is asked for.

    What an earlier try has left may be of a key that is revoked since.
    """
    name = load_data(KEY_PATH, {"key": request.form.get("name", "")})["key"]
    if "revoke" in request.form and name in _file().names():
        _revoke(name)
    deletion: Deletion = current_gateway().key_data.delete(name, principal())
    return _list(deletion=deletion)


def _revoke(name: str) -> None:
    if name == principal().name:
        raise Conflict("You are signed in with this key, so only another admin can revoke it.")
    with _changes("revoke", name):
        key_editor.remove(_settings().api_keys_file, name)


def _list(
    *,
    error: str = "",
    name: str = "",
    secret: str = "",
    made: str = "",
    deletion: Deletion | None = None,
    status: int = 200,
) -> Response:
    file: KeyFile | None = current_gateway().keys
    rows = [(holder, key_form.summary(holder)) for holder in file.principals()] if file else []
    values = {"rows": rows, "has_file": file is not None, "broken": file.error if file else None}
    clients = _snippets(secret) if secret else []
    new = {"error": error, "name": name, "secret": secret, "made": made, "clients": clients}
    return show_template("keys.html", {**values, **new, "deletion": deletion}, status)


def _snippets(secret: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the title and the steps of each client, with the key that is shown this once."""
    model = models()[0]
    return [(client.title, list(steps(client, secret, model))) for client in CLIENTS]


def _named(name: str) -> Principal:
    known = _file().named(name)
    if known is None:
        raise KeyNotFound(f"The keys file has no key {name[:80]!r}.", param="name")
    return known[0]


def _file() -> KeyFile:
    file: KeyFile | None = current_gateway().keys
    if file is None:
        raise InvalidRequest("This gateway has no keys file (API_KEYS_FILE).")
    return file


def _settings() -> Settings:
    settings: Settings = current_gateway().settings
    return settings


@contextlib.contextmanager
def _changes(what: str, name: str) -> Iterator[None]:
    """Log who changes the keys file, and hide its path where it cannot be changed."""
    try:
        yield
    except KeysError as error:
        log.error("the console cannot %s the key %s: %s", what, name, error)
        raise Unavailable(
            "The keys file cannot be changed; the gateway's log says why.", retry=False
        ) from None
    log.info("%s: %s the key %s in the console", principal().name, what, name)
