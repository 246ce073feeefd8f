"""Validation of responses against the gateway's OpenAPI document."""

import functools
from typing import Any

from openapi_schema_validator import OAS31Validator

from tests.support.scripted_server import frames_of
from wrapper.openapi import build_document
from wrapper.routes.headers import SECURITY

# Headers for the transport or for browsers.
UNDOCUMENTED_HEADERS = {
    "content-type",
    "content-length",
    "x-accel-buffering",
    *map(str.lower, SECURITY),
}


def resolve(document, component):
    """Return *component*, or the one that it refers to."""
    if "$ref" not in component:
        return component
    steps = component["$ref"].removeprefix("#/").split("/")
    return functools.reduce(lambda node, step: node[step], steps, document)


# They have the fields that the model's API sends, whatever these are.
OPEN = {"MessageAnswer", "MessageEvent"}


def closed(document):
    """Return the document's schemas, changed to refuse properties that they do not name."""
    return {
        name: schema if name in OPEN else {**schema, "additionalProperties": False}
        for name, schema in document["components"]["schemas"].items()
    }


_documents: dict[tuple[Any, ...], Any] = {}


def document_of(app, *, needs_key):
    """Return the document of *app*. Apps with the same routes share it."""
    routes = ((rule.endpoint, rule.rule) for rule in app.url_map.iter_rules())
    key = (needs_key, *routes)
    if key not in _documents:
        _documents[key] = build_document(app, needs_key=needs_key)
    return _documents[key]


class ResponseValidator:
    """Validates the responses of an app against its own OpenAPI document."""

    def __init__(self, app, *, needs_key=True):
        self.document = document_of(app, needs_key=needs_key)
        # A validator resolves each reference into the document only once.
        self.schema = functools.cache(self._schema)

    def _schema(self, path, method, status, kind):
        schema = self.described(path, method, status)["content"][kind]["schema"]
        return OAS31Validator({**schema, "components": {"schemas": closed(self.document)}})

    def described(self, path, method, status):
        operation = self.document["paths"][path][method]
        return resolve(self.document, operation["responses"][str(status)])

    def check(self, response, path, method="get"):
        """Fail if the response's status, headers or body differ from the document."""
        schema = self.schema(path, method, response.status_code, response.mimetype)
        if response.mimetype == "text/event-stream":
            bodies = [frame for frame in frames_of(response) if isinstance(frame, dict)]
        elif response.mimetype in ("text/plain", "application/octet-stream"):
            bodies = [response.text]
        else:
            bodies = [response.json]
        assert bodies
        for body in bodies:
            schema.validate(body)
        self.check_headers(response, self.described(path, method, response.status_code)["headers"])

    def check_headers(self, response, described):
        names = {name.lower() for name in described}
        assert set(response.headers.keys(lower=True)) - UNDOCUMENTED_HEADERS <= names
        for name, component in described.items():
            header = resolve(self.document, component)
            sent = response.headers.get(name)
            assert sent or not header.get("required")
            if sent and header["schema"]["type"] != "integer":
                OAS31Validator(header["schema"]).validate(sent)
