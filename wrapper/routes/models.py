"""The routes of the models that a request may name."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, request

from wrapper.errors import InvalidRequest
from wrapper.routes.context import current_gateway, principal
from wrapper.routes.json_response import reply
from wrapper.routes.operation import operation
from wrapper.schemas import answer_examples
from wrapper.schemas.base import load_data
from wrapper.schemas.models import (
    MODEL_PAGE,
    ModelListSchema,
    ModelPage,
    ModelPageSchema,
    ModelSchema,
)
from wrapper.services.catalog import Catalog, Model, created
from wrapper.services.principal import Principal

models = Blueprint("models", __name__)


@models.get("/models")
@operation(query=ModelPageSchema, answers={200: ModelListSchema}, answer=answer_examples.MODELS)
def list_models() -> Response:
    """List every model, alias and retired name that the caller may use."""
    page: ModelPage = load_data(MODEL_PAGE, request.args.to_dict())
    gateway = current_gateway()
    listed = models_of(gateway, principal())
    shown, has_more = _shown([model.id for model in listed], page)
    return reply(
        {
            "object": "list",
            "data": [_body(model, gateway.catalog) for model in listed[shown]],
            "has_more": has_more,
            "first_id": listed[shown][0].id if listed[shown] else None,
            "last_id": listed[shown][-1].id if listed[shown] else None,
        }
    )


@models.get("/models/<path:model_id>")
@operation(answers={200: ModelSchema}, answer=answer_examples.MODEL)
def read_model(model_id: str) -> Response:
    """Describe one model. Its id may contain slashes and colons."""
    gateway = current_gateway()
    model = gateway.catalog.find(model_id)
    gateway.limits.policy.check_model(gateway.catalog.choose(model_id).model, principal())
    return reply(_body(model, gateway.catalog))


def models_of(gateway: Any, caller: Principal) -> list[Model]:
    """Return every model, alias and retired name that *caller* may use."""
    catalog: Catalog = gateway.catalog
    return [
        model
        for model in catalog.models()
        if gateway.limits.policy.may_run(catalog.choose(model.id).model, caller)
    ]


def _shown(ids: list[str], page: ModelPage) -> tuple[slice, bool]:
    """Return the part of *ids* that *page* shows, and whether its limit leaves out any."""
    start = 0 if page.after_id is None else _index(ids, "after_id", page.after_id) + 1
    stop = len(ids) if page.before_id is None else _index(ids, "before_id", page.before_id)
    if page.limit is None or stop - start <= page.limit:
        return slice(start, stop), False
    if page.before_id is not None:
        return slice(stop - page.limit, stop), True
    return slice(start, start + page.limit), True


def _index(ids: list[str], name: str, id_: str) -> int:
    if id_ not in ids:
        raise InvalidRequest(f"{name}: there is no model {id_[:100]!r} in the list.", param=name)
    return ids.index(id_)


def _body(model: Model, catalog: Catalog) -> dict[str, Any]:
    """Return the model with the fields of both APIs, so that clients of either understand it."""
    released = created(model.id)
    return {
        "id": model.id,
        "object": "model",
        "created": released,
        "type": "model",
        "created_at": datetime.fromtimestamp(released, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "owned_by": "anthropic",
        "runs": model.runs,
        "name": model.name,
        "display_name": model.title,
        "min_claude_code_version": catalog.min_version(catalog.choose(model.id).model),
        "supports": asdict(catalog.capabilities(catalog.choose(model.id).model)),
    }
