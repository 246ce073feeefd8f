"""The OpenAPI document: every route of the gateway, told from what its view declares."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask
from marshmallow import fields
from werkzeug.routing import Rule

from wrapper.routes.blueprint import NAMES
from wrapper.routes.chat import RATES, TIMING
from wrapper.routes.operation import Operation, operation_of
from wrapper.routes.responses import PROCESSING_HEADER, PROCESSING_MEANING
from wrapper.schemas.base import BaseSchema, SchemaLike, nullable
from wrapper.schemas.errors import ErrorSchema
from wrapper.version import __version__

Json = dict[str, Any]

TITLE = "claude-code-gateway"
JSON_TYPE, EVENTS_TYPE, TEXT_TYPE = "application/json", "text/event-stream", "text/plain"
# Flask adds these by itself.
IMPLIED = {"HEAD", "OPTIONS"}
SCHEMES: dict[str, Json] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "api-key": {"type": "apiKey", "in": "header", "name": "api-key"},
}
TEXT = {"type": "string"}
HEADERS: dict[str, Json] = {
    "x-request-id": {
        "description": "The id that the request was sent with, or a new one; the log has it too.",
        "required": True,
        "schema": {**TEXT, "pattern": "^[A-Za-z0-9_-]{1,128}$"},
    },
    "openai-processing-ms": {
        "description": PROCESSING_MEANING,
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
    "x-should-retry": {
        "description": "Whether to try again by itself; false once the model has begun.",
        "schema": {**TEXT, "enum": ["true", "false"]},
    },
    "Retry-After": {
        "description": "In how many seconds it may go better.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "Allow": {"description": "What the path does take.", "schema": TEXT},
    "WWW-Authenticate": {"description": "Where it is the caller's key.", "schema": TEXT},
}
OF_ALL = ("x-request-id", PROCESSING_HEADER)
# What an error of each status means.
ERRORS = {
    400: "What was sent is not valid, or the model's API refuses it.",
    401: "The caller's key is missing or wrong, or the gateway's own login at the provider is.",
    403: "The caller may be a foreign web page, or the gateway's login may not do this.",
    404: "There is no such model or session, or nothing at this path.",
    405: "The path does not take this method.",
    409: "Another turn of the session runs, or the session is gone.",
    413: "The body, or the conversation, is too large.",
    415: "The body is not sent as application/json.",
    429: "A rate, a budget or the gateway's capacity is used up.",
    500: "The gateway or the model's provider failed.",
    502: "Claude Code is missing, died, or could not be understood.",
    503: "No process is to be had, or the provider is overloaded.",
    504: "The turn ran past its time limit.",
}
# The headers that only some errors have.
OF_ERRORS = {401: ("WWW-Authenticate",), 405: ("Allow",), 429: ("Retry-After",)}
OF_ERRORS[503] = OF_ERRORS[429]

# A place in one of Flask's paths: <name>, <kind:name> or <kind(arguments):name>.
_PLACE = re.compile(r"<(?:(\w+)(?:\([^<>]*\))?:)?(\w+)>")
_KINDS: dict[str, Json] = {
    "int": {"type": "integer", "minimum": 0},
    "float": {"type": "number", "minimum": 0},
    "uuid": {"type": "string", "format": "uuid"},
}


def build_document(app: Flask, *, needs_key: bool) -> Json:
    """Return the document of the gateway's routes in *app*.

    *needs_key* says whether the gateway has keys; without any, none is asked for.
    """
    info = {"license": {"name": "MIT", "identifier": "MIT"}}
    spec = APISpec(TITLE, __version__, "3.1.0", [Plugin()], info=info)
    for name, scheme in SCHEMES.items():
        spec.components.security_scheme(name, scheme)
    for name, header in HEADERS.items():
        spec.components.header(name, header)
    for status, meaning in ERRORS.items():
        common = ("x-should-retry", *OF_ERRORS.get(status, ()))
        own = {**TIMING, **(RATES if status == 429 else {})}
        spec.components.response(_error(status), _answer(meaning, ErrorSchema, common, own))
    for rule in gateway_rules(app):
        spec.path(path_of(rule), operations=_operations(app, rule, needs_key))
    return spec.to_dict()


def gateway_rules(app: Flask) -> Iterator[Rule]:
    """Yield the rules in *app* that are the gateway's, whatever their prefix."""
    for rule in app.url_map.iter_rules():
        if rule.endpoint.partition(".")[0] in NAMES:
            yield rule


def path_of(rule: Rule) -> str:
    """Return the rule's path as OpenAPI writes it."""
    return _PLACE.sub(r"{\2}", rule.rule)


def methods_of(rule: Rule) -> list[str]:
    """Return the methods that the rule's view was given."""
    return sorted(method.lower() for method in (rule.methods or set()) - IMPLIED)


def _operations(app: Flask, rule: Rule, needs_key: bool) -> Json:
    view = app.view_functions[rule.endpoint]
    return {method: _operation(rule, method, view, needs_key) for method in methods_of(rule)}


def _operation(rule: Rule, method: str, view: Callable[..., Any], needs_key: bool) -> Json:
    declared = operation_of(view)
    needs_key = needs_key and declared.needs_key
    summary, _, description = (inspect.getdoc(view) or "").partition("\n")
    told: Json = {
        "operationId": re.sub(r"\W+", "_", method + path_of(rule)).strip("_"),
        "tags": [rule.endpoint.split(".")[-2]],
        "summary": summary,
        "description": description.strip(),
        "parameters": [*_places(rule, declared), *_query(declared)],
        "requestBody": _body(declared),
        "responses": _responses(declared, bool(rule.arguments), needs_key),
        "security": [{name: []} for name in SCHEMES] if needs_key else [{}],
    }
    return {name: value for name, value in told.items() if value}


def _places(rule: Rule, declared: Operation) -> list[Json]:
    """Return the parameters in the rule's path."""
    if declared.places:
        return [{"in": "path", "schema": declared.places}]
    anything = {"type": "string", "minLength": 1}
    return [
        {"in": "path", "name": name, "required": True, "schema": _KINDS.get(kind, anything)}
        for kind, name in _PLACE.findall(rule.rule)
    ]


def _query(declared: Operation) -> list[Json]:
    return [{"in": "query", "schema": declared.query}] if declared.query else []


def _body(declared: Operation) -> Json | None:
    content = {JSON_TYPE: {"schema": declared.body}}
    return {"required": True, "content": content} if declared.body else None


def _responses(declared: Operation, has_places: bool, needs_key: bool) -> Json:
    statuses = _statuses(declared, has_places, needs_key)
    found: dict[int, Any] = {status: _error(status) for status in statuses}
    for status, shape in declared.answers.items():
        found[status] = _answer(HTTPStatus(status).phrase, shape, own=declared.headers)
    if declared.text:
        found[200] = _answer(declared.text, TEXT, kind=TEXT_TYPE)
    if declared.stream:
        whole = found.setdefault(200, _answer("OK", {}, own=declared.headers) | {"content": {}})
        whole["content"][EVENTS_TYPE] = _events(declared.stream)
    return {str(status): found[status] for status in sorted(found)}


def _statuses(declared: Operation, has_places: bool, needs_key: bool) -> set[int]:
    """Return the statuses of the errors that an operation may answer."""
    found = {403, 405, 500, *declared.errors}
    found |= {401, 429} if needs_key else set()
    found |= {404} if has_places else set()
    found |= {400} if declared.query or declared.places else set()
    return found | {400, 413, 415} if declared.body else found


def _answer(
    meaning: str,
    shape: SchemaLike | Json,
    common: tuple[str, ...] = (),
    own: Mapping[str, str] = {},
    kind: str = JSON_TYPE,
) -> Json:
    """Return a response with headers of HEADERS, and with its *own* and their meanings."""
    headers: Json = {name: name for name in (*OF_ALL, *common)}
    headers |= {name: {"description": text, "schema": TEXT} for name, text in own.items()}
    return {
        "description": meaning,
        "headers": headers,
        "content": {kind: {"schema": shape}},
    }


def _events(shape: SchemaLike) -> Json:
    what = (
        "The JSON of each event; the last says [DONE] instead. "
        "An error is told as an event where the answer has begun, and ends it."
    )
    return {"schema": {"description": what, "anyOf": [shape, ErrorSchema]}}


def _error(status: int) -> str:
    return f"Error{status}"


class Plugin(MarshmallowPlugin):
    """Heeds a field's `json_schema` and a schema's `extend_json_schema`, where they have them."""

    def init_spec(self, spec: APISpec) -> None:
        super().init_spec(spec)
        if self.converter:
            self.converter.add_attribute_function(_as_loaded)  # type: ignore[no-untyped-call]

    def schema_helper(self, *args: Any, **kwargs: Any) -> Any:
        """Return the JSON Schema of a component, where a Marshmallow `schema` is given for it."""
        told = super().schema_helper(*args, **kwargs)  # type: ignore[no-untyped-call]
        shape: SchemaLike | None = kwargs.get("schema")
        kind = shape if isinstance(shape, type) else type(shape)
        if told is None or not issubclass(kind, BaseSchema):
            return told
        return kind.extend_json_schema({"additionalProperties": True, **told})


def _as_loaded(_: Any, field: fields.Field[Any], ret: dict[str, Any]) -> dict[str, Any]:
    """Put right, in *ret*, what apispec does not read off a field."""
    if own := getattr(field, "json_schema", None):
        ret.pop("default", None)  # null, which stands for absence
        return nullable(own) if field.allow_none else own
    if isinstance(field, fields.Dict):
        for edge in ("min", "max"):
            if (length := ret.pop(f"{edge}Length", None)) is not None:
                ret[f"{edge}Properties"] = length
    return {}
