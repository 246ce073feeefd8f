"""The route that deletes all that a key has stored, for admins."""

from __future__ import annotations

from flask import Blueprint, Response

from wrapper.errors import PermissionDenied
from wrapper.routes.context import current_gateway, principal
from wrapper.routes.json_response import reply
from wrapper.routes.operation import operation
from wrapper.schemas import state_examples
from wrapper.schemas.base import load_data
from wrapper.schemas.key_data import KEY_PATH, KeyDataDeletedSchema, KeyPathSchema
from wrapper.services.key_data import Deletion

keys = Blueprint("keys", __name__)


@keys.delete("/keys/<key>/data")
@operation(
    path=KeyPathSchema,
    answers={200: KeyDataDeletedSchema},
    answer=state_examples.KEY_DATA_DELETED,
    errors=(503,),
)
def delete_data(key: str) -> Response:
    """Delete all that a key has stored, also one that is revoked. Only admins may.

    Its turns are stopped first, which takes some seconds. What it has spent stays. A 503 says what
    is left; ask again.
    """
    if not principal().admin:
        raise PermissionDenied("Only an admin's key may delete the data of a key.")
    name = load_data(KEY_PATH, {"key": key})["key"]
    gateway = current_gateway()
    deletion: Deletion = gateway.key_data.delete(name, principal())
    deletion.check()
    valid = gateway.guard.principal(name) is not None
    return reply(
        {"object": "key.data.deleted", "key": name, "deleted": {**deletion.deleted}, "valid": valid}
    )
