"""Validation of responses against the gateway's OpenAPI document."""

import functools

from openapi_schema_validator import OAS31Validator

from tests.support.scripted_server import frames_of
from wrapper.openapi import build_document
from wrapper.routes.responses import SECURITY_HEADERS

# Headers that are the transport's, or a browser's.
UNDOCUMENTED_HEADERS = {
    "content-type",
    "content-length",
    "x-accel-buffering",
    *map(str.lower, SECURITY_HEADERS),
}


def resolve(document, told):
    """Return *told*, or what it refers to."""
    if "$ref" not in told:
        return told
    steps = told["$ref"].removeprefix("#/").split("/")
    return functools.reduce(lambda found, step: found[step], steps, document)


def closed(document):
    """Return the document's schemas, in which only what they name may be."""
    return {
        name: {**schema, "additionalProperties": False}
        for name, schema in document["components"]["schemas"].items()
    }


class ResponseValidator:
    """Holds what an app sends against its document."""

    def __init__(self, app, *, needs_key=True):
        self.document = build_document(app, needs_key=needs_key)

    def schema(self, path, method, status, kind):
        told = self.told(path, method, status)["content"][kind]["schema"]
        return OAS31Validator({**told, "components": {"schemas": closed(self.document)}})

    def told(self, path, method, status):
        operation = self.document["paths"][path][method]
        return resolve(self.document, operation["responses"][str(status)])

    def check(self, response, path, method="get"):
        """Refuse a response whose status, headers or body are not in the document."""
        schema = self.schema(path, method, response.status_code, response.mimetype)
        if response.mimetype == "text/event-stream":
            bodies = [frame for frame in frames_of(response) if isinstance(frame, dict)]
        elif response.mimetype == "text/plain":
            bodies = [response.text]
        else:
            bodies = [response.json]
        assert bodies
        for body in bodies:
            schema.validate(body)
        self.check_headers(response, self.told(path, method, response.status_code)["headers"])

    def check_headers(self, response, told):
        names = {name.lower() for name in told}
        assert set(response.headers.keys(lower=True)) - UNDOCUMENTED_HEADERS <= names
        for name, one in told.items():
            header = resolve(self.document, one)
            sent = response.headers.get(name)
            assert sent or not header.get("required")
            if sent and header["schema"]["type"] != "integer":
                OAS31Validator(header["schema"]).validate(sent)
