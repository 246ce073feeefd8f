"""The OpenAPI document: every route of the gateway, as its view declares it."""

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

from wrapper.json_text import Json
from wrapper.routes.blueprint import NAMES
from wrapper.routes.dialects import ANTHROPIC, OPENAI, Dialect, dialect_of, prefix_of
from wrapper.routes.headers import (
    COMMON,
    CONTENT_RANGE,
    MESSAGE_REQUEST_ID,
    PROCESSING,
    RATES,
    REQUEST_ID,
    RETRY_AFTER,
    SHOULD_RETRY,
    TIMING,
)
from wrapper.routes.operation import Operation, operation_of
from wrapper.schemas.base import BaseSchema, SchemaLike, nullable
from wrapper.version import __version__

TITLE = "claude-code-gateway"
JSON_TYPE, EVENTS_TYPE, TEXT_TYPE = "application/json", "text/event-stream", "text/plain"
FORM_TYPE, BINARY_TYPE = "multipart/form-data", "application/octet-stream"
# Methods that Flask adds by itself.
IMPLIED = {"HEAD", "OPTIONS"}
SCHEMES: dict[str, Json] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "api-key": {"type": "apiKey", "in": "header", "name": "api-key"},
}
TEXT = {"type": "string"}
BINARY: Json = {}  # OpenAPI 3.1 describes bytes by the media type alone
# The headers of all responses, and those of all errors.
HEADERS: dict[str, Json] = {
    REQUEST_ID: {"required": True, "schema": {**TEXT, "pattern": "^[A-Za-z0-9_-]{1,128}$"}},
    MESSAGE_REQUEST_ID: {"required": True, "schema": {**TEXT, "pattern": "^[A-Za-z0-9_-]{1,128}$"}},
    PROCESSING: {"required": True, "schema": {"type": "integer", "minimum": 0}},
    SHOULD_RETRY: {"schema": {**TEXT, "enum": ["true", "false"]}},
    RETRY_AFTER: {"schema": {"type": "integer", "minimum": 0}},
    CONTENT_RANGE: {"schema": TEXT},
    "Allow": {"schema": TEXT},
    "WWW-Authenticate": {"schema": TEXT},
}
HEADERS = {name: {"description": COMMON[name], **header} for name, header in HEADERS.items()}
COMMON_HEADERS = (REQUEST_ID, PROCESSING)
# What each error status means.
ERRORS = {
    400: "The request is not valid, or the model's API refuses it.",
    401: "The caller's key, or the gateway's own login at the provider, is missing or wrong.",
    403: "The key or the gateway's login does not permit it, or a foreign web page may be calling.",
    404: "The model, the session, the response, the key or the path does not exist.",
    405: "The path does not support this method.",
    408: "The body ended early, or arrived too slowly.",
    409: "Another turn of the session is running, or the session no longer exists.",
    413: "The body, or the conversation, is too large.",
    415: "The body's content type is not application/json.",
    416: "The content has no such part as the header Range asks for.",
    426: "The path is not served over WebSockets.",
    429: "A rate limit, a budget or the gateway's capacity is used up.",
    500: "The gateway or the model's provider failed.",
    502: "Claude Code is missing, ended early, or sent something unexpected.",
    503: "No process is available, the gateway is shutting down, or the provider is overloaded.",
    504: "The turn exceeded its time limit.",
    507: "There is no room left for files.",
    529: "The provider is overloaded.",
}
# The headers that only some errors have.
ERROR_HEADERS = {
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    416: (CONTENT_RANGE,),
    429: ("Retry-After",),
}
ERROR_HEADERS[503] = ERROR_HEADERS[429]

# A parameter in a path of Flask: <name>, <kind:name> or <kind(arguments):name>.
_PATH_PARAMETER = re.compile(r"<(?:(\w+)(?:\([^<>]*\))?:)?(\w+)>")
_KINDS: dict[str, Json] = {
    "int": {"type": "integer", "minimum": 0},
    "float": {"type": "number", "minimum": 0},
    "uuid": {"type": "string", "format": "uuid"},
}


def build_document(app: Flask, *, needs_key: bool) -> Json:
    """Return the document of the gateway's routes in *app*.

    *needs_key* says whether the gateway has keys. If not, no operation requires one.
    """
    info = {"license": {"name": "MIT", "identifier": "MIT"}}
    spec = APISpec(TITLE, __version__, "3.1.0", [Plugin()], info=info)
    for name, scheme in SCHEMES.items():
        spec.components.security_scheme(name, scheme)
    for name, header in HEADERS.items():
        spec.components.header(name, header)
    for status, meaning in ERRORS.items():
        common = (SHOULD_RETRY, *ERROR_HEADERS.get(status, ()))
        own = {**TIMING, **(RATES if status == 429 else {})}
        for dialect in (OPENAI, ANTHROPIC):
            ids = tuple(name for name in dialect.id_headers if name not in COMMON_HEADERS)
            response = _response(meaning, dialect.schema, (*ids, *common), own)
            spec.components.response(_error(status, dialect), response)
    for rule in gateway_rules(app):
        spec.path(path_of(rule), operations=_operations(app, rule, needs_key))
    return spec.to_dict()


def gateway_rules(app: Flask) -> Iterator[Rule]:
    """Yield the gateway's rules in *app*, under any prefix; the first are those of the APIs."""
    rules = list(app.url_map.iter_rules())
    for name in NAMES:
        yield from (rule for rule in rules if rule.endpoint.partition(".")[0] == name)


def path_of(rule: Rule) -> str:
    """Return the rule's path as OpenAPI writes it."""
    return _PATH_PARAMETER.sub(r"{\2}", rule.rule)


def methods_of(rule: Rule) -> list[str]:
    """Return the methods that the rule's view handles."""
    return sorted(method.lower() for method in (rule.methods or set()) - IMPLIED)


def _operations(app: Flask, rule: Rule, needs_key: bool) -> Json:
    view = app.view_functions[rule.endpoint]
    prefix = prefix_of(app)
    return {
        method: _operation(rule, method, view, prefix, needs_key) for method in methods_of(rule)
    }


def _operation(
    rule: Rule, method: str, view: Callable[..., Any], prefix: str, needs_key: bool
) -> Json:
    declared = operation_of(view)
    needs_key = needs_key and declared.needs_key
    summary, _, description = (inspect.getdoc(view) or "").partition("\n")
    dialect = dialect_of(path_of(rule), prefix)
    operation: Json = {
        "operationId": re.sub(r"\W+", "_", method + path_of(rule)).strip("_"),
        "tags": [rule.endpoint.split(".")[-2]],
        "summary": summary,
        "description": description.strip(),
        "parameters": [*_path_parameters(rule, declared), *_query(declared)],
        "requestBody": _body(declared),
        "responses": _responses(declared, dialect, bool(rule.arguments), needs_key),
        "security": [{name: []} for name in SCHEMES] if needs_key else [{}],
    }
    return {name: value for name, value in operation.items() if value}


def _path_parameters(rule: Rule, declared: Operation) -> list[Json]:
    """Return the parameters in the rule's path."""
    if declared.path:
        return [{"in": "path", "schema": declared.path}]
    anything = {"type": "string", "minLength": 1}
    return [
        {"in": "path", "name": name, "required": True, "schema": _KINDS.get(kind, anything)}
        for kind, name in _PATH_PARAMETER.findall(rule.rule)
    ]


def _query(declared: Operation) -> list[Json]:
    return [{"in": "query", "schema": declared.query}] if declared.query else []


def _body(declared: Operation) -> Json | None:
    if not (schema := declared.body or declared.form):
        return None
    content: Json = {"schema": schema}
    if declared.examples:
        content["examples"] = {name: {"value": body} for name, body in declared.examples.items()}
    kind = JSON_TYPE if declared.body else FORM_TYPE
    return {"required": True, "content": {kind: content}}


def _responses(
    declared: Operation, dialect: Dialect, has_parameters: bool, needs_key: bool
) -> Json:
    statuses = _statuses(declared, has_parameters, needs_key)
    responses: dict[int, Any] = {status: _error(status, dialect) for status in statuses}
    for status, shape in declared.answers.items():
        responses[status] = _response(HTTPStatus(status).phrase, shape, own=declared.headers)
    if declared.text:
        responses[200] = _response(declared.text, TEXT, kind=TEXT_TYPE)
    if declared.binary:
        for status in (200, 206):
            responses[status] = _response(declared.binary, BINARY, kind=BINARY_TYPE)
    if declared.answer is not None:
        (content,) = responses[200]["content"].values()
        content["example"] = declared.answer
    if declared.stream:
        ok = responses.setdefault(200, _response("OK", {}, own=declared.headers) | {"content": {}})
        ok["content"][EVENTS_TYPE] = _events(declared, dialect)
    return {str(status): responses[status] for status in sorted(responses)}


def _statuses(declared: Operation, has_parameters: bool, needs_key: bool) -> set[int]:
    """Return the statuses of the errors that an operation may return."""
    statuses = {403, 405, 500, *declared.errors}
    statuses |= {401, 429} if needs_key else set()
    statuses |= {404} if has_parameters else set()
    statuses |= {400} if declared.query or declared.path else set()
    return statuses | {400, 413, 415} if declared.body or declared.form else statuses


def _response(
    meaning: str,
    shape: SchemaLike | Json,
    common: tuple[str, ...] = (),
    own: Mapping[str, str] = {},
    kind: str = JSON_TYPE,
) -> Json:
    """Return a response with *common* headers of HEADERS, and its *own* with their meanings."""
    headers: Json = {name: name for name in (*COMMON_HEADERS, *common)}
    headers |= {name: {"description": text, "schema": TEXT} for name, text in own.items()}
    return {
        "description": meaning,
        "headers": headers,
        "content": {kind: {"schema": shape}},
    }


def _events(declared: Operation, dialect: Dialect) -> Json:
    meaning = (
        "The JSON of each event. Chat completions end with [DONE] instead of JSON. "
        "An error after the answer has begun is sent as an event, and ends it."
    )
    example = {} if declared.event is None else {"example": declared.event}
    schema = {"description": meaning, "anyOf": [declared.stream, dialect.schema]}
    return {"schema": schema, **example}


def _error(status: int, dialect: Dialect) -> str:
    return f"{'Message' if dialect is ANTHROPIC else ''}Error{status}"


class Plugin(MarshmallowPlugin):
    """Uses a field's `json_schema` and a schema's `extend_json_schema`, if they have them."""

    def init_spec(self, spec: APISpec) -> None:
        super().init_spec(spec)
        if self.converter:
            self.converter.add_attribute_function(_as_loaded)  # type: ignore[no-untyped-call]

    def schema_helper(self, *args: Any, **kwargs: Any) -> Any:
        """Return the JSON Schema of a component that has a Marshmallow `schema`."""
        json_schema = super().schema_helper(*args, **kwargs)  # type: ignore[no-untyped-call]
        shape: SchemaLike | None = kwargs.get("schema")
        kind = shape if isinstance(shape, type) else type(shape)
        if json_schema is None or not issubclass(kind, BaseSchema):
            return json_schema
        return kind.extend_json_schema({"additionalProperties": True, **json_schema})


def _as_loaded(_: Any, field: fields.Field[Any], ret: dict[str, Any]) -> dict[str, Any]:
    """Correct, in *ret*, what apispec does not derive from a field."""
    if own := getattr(field, "json_schema", None):
        ret.pop("default", None)  # null, which means absence
        return nullable(own) if field.allow_none else own
    if isinstance(field, fields.Dict):
        for edge in ("min", "max"):
            if (length := ret.pop(f"{edge}Length", None)) is not None:
                ret[f"{edge}Properties"] = length
    return {}
