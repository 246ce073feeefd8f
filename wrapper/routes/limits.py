"""The limits route: what the provider leaves of the gateway's login, and the key's own limits."""

from __future__ import annotations

from dataclasses import asdict

from flask import Blueprint, Response

from wrapper.routes.context import current_gateway, principal
from wrapper.routes.json_response import reply
from wrapper.routes.operation import operation
from wrapper.schemas import state_examples
from wrapper.schemas.limits import LimitsSchema

limits = Blueprint("limits", __name__)


@limits.get("/limits")
@operation(answer=state_examples.LIMITS, answers={200: LimitsSchema}, errors=(503,))
def read_limits() -> Response:
    """Report the limits of the gateway's login that its provider reports, and those of the key.

    A provider reports limits with a subscription's login. Nothing is estimated: what is not known,
    or was known of a time that is over, is null.
    """
    gateway, who = current_gateway(), principal()
    rates = [asdict(rate) for rate in gateway.limits.rates.notes(who).rates]
    key = {"name": who.name, "rates": rates, "budgets": gateway.limits.ledger.budgets(who)}
    return reply(
        {"object": "limits", "logins": gateway.observers.login_limits.report(), "key": key}
    )
