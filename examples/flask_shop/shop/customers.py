"""The customers: how they log in, and what the gateway may do for each of them."""

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

from wrapper import Principal

# A real shop has a table of these hashes, which nobody's password stands beside.
DEMONSTRATION = {"ada": generate_password_hash("earl grey")}
NOBODY = generate_password_hash(secrets.token_hex())

pages = Blueprint("customers", __name__)


@pages.route("/login", methods=["GET", "POST"])
def login() -> str | Response | tuple[str, int]:
    if request.method == "GET":
        return render_template("login.html")
    name = request.form.get("name", "")
    # Who is unknown is refused as slowly as who has the password wrong.
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
    """Say who sends a request to the gateway: the customer of the session's cookie.

    Sessions, books and limits go by the principal's name, which must be no other's: neither
    another customer's nor one of the shop's own.
    """
    name = session.get("customer")
    if name not in current_app.config["CUSTOMERS"]:
        return None
    return Principal(
        f"customer.{name}",
        profile="plain",  # Claude Code's tools are for nobody who comes from outside
        requests_per_minute=20,
        concurrent_turns=2,
        usd_per_day=0.5,
    )
