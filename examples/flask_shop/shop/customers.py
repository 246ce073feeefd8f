"""The customers: their login, and their limits at the gateway."""

from __future__ import annotations

import secrets

from flask import (
    Blueprint,
    Request,
    current_app,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from werkzeug.security import check_password_hash, generate_password_hash
from werkzeug.wrappers import Response

from claude_code_gateway import Principal

# A real shop has a table of such hashes, and no passwords next to them.
DEMONSTRATION = {"ada": generate_password_hash("earl grey")}
NOBODY = generate_password_hash(secrets.token_hex())

pages = Blueprint("customers", __name__)


@pages.route("/login", methods=["GET", "POST"])
def login() -> str | Response | tuple[str, int]:
    if request.method == "GET":
        return render_template("login.html")
    name = request.form.get("name", "")
    # An unknown name is refused as slowly as a wrong password.
    known = current_app.config["CUSTOMERS"].get(name, NOBODY)
    if not check_password_hash(known, request.form.get("password", "")):
        return render_template("login.html", wrong=True), 401
    session["customer"] = name
    return redirect(url_for("teas.home"))


@pages.post("/logout")
def logout() -> Response:
    session.clear()
    return redirect(url_for("teas.home"))


def authenticate(request: Request) -> Principal | None:
    """Return who sends a request to the gateway: the customer in the session's cookie.

    Sessions, spending and limits belong to the principal's name. No other customer, and no job of
    the shop, may have the same name.
    """
    name = session.get("customer")
    if name not in current_app.config["CUSTOMERS"]:
        return None
    return Principal(
        f"customer.{name}",
        profile="plain",  # customers must not use Claude Code's tools
        requests_per_minute=20,
        concurrent_turns=2,
        usd_per_day=0.5,
    )
