"""The routes of the models that a request may name."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response

from wrapper.routes.context import current_gateway, principal
from wrapper.routes.json_response import reply
from wrapper.routes.operation import operation
from wrapper.schemas.models import ModelListSchema, ModelSchema
from wrapper.services.catalog import Catalog, Model, created

models = Blueprint("models", __name__)


@models.get("/models")
@operation(answers={200: ModelListSchema})
def list_models() -> Response:
    """List every model, alias and retired name that the caller may use."""
    gateway, caller = current_gateway(), principal()
    catalog: Catalog = gateway.catalog
    listed = [
        model
        for model in catalog.models()
        if gateway.policy.may_run(catalog.choose(model.id).model, caller)
    ]
    return reply({"object": "list", "data": [_body(model, catalog) for model in listed]})


@models.get("/models/<path:model_id>")
@operation(answers={200: ModelSchema})
def read_model(model_id: str) -> Response:
    """Describe one model. Its id may contain slashes and colons."""
    gateway = current_gateway()
    model = gateway.catalog.find(model_id)
    gateway.policy.check_model(gateway.catalog.choose(model_id).model, principal())
    return reply(_body(model, gateway.catalog))


def _body(model: Model, catalog: Catalog) -> dict[str, Any]:
    return {
        "id": model.id,
        "object": "model",
        "created": created(model.id),
        "owned_by": "anthropic",
        "runs": model.runs,
        "name": model.name,
        "display_name": model.title,
        "supports": asdict(catalog.capabilities(catalog.choose(model.id).model)),
    }
