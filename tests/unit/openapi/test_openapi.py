"""The OpenAPI document: valid, and whole."""

import re

import pytest
from flask import Flask
from marshmallow import fields
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.support.scripted_server import KEY, ScriptedServer, error_of
from wrapper import Gateway, __version__
from wrapper.openapi import build_document
from wrapper.routes.operation import operation
from wrapper.schemas.base import BaseSchema
from wrapper.schemas.models import ModelSchema
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine

pytestmark = pytest.mark.packages

CREATED, EMBEDDED = "create_app", "a foreign app"
ALL = (CREATED, EMBEDDED)
PLACE, OPENAPI_PLACE = re.compile(r"<(?:[^>]*:)?(.*?)>"), r"{\1}"


def embed(*views, **settings):
    """Return a foreign app with pages of its own and a gateway that has these further views."""
    app = Flask("other")
    app.get("/own", endpoint="own")(lambda: "own")
    app.get("/ai/v1/own", endpoint="near")(lambda: "own")
    gateway = Gateway(Settings(**settings), engine=ScriptedEngine())
    for path, view in views:
        gateway.blueprint.get(path)(view)
    gateway.init_app(app, url_prefix="/ai/v1")
    return app


def app_of(kind, **settings):
    return ScriptedServer(**settings).app if kind == CREATED else embed(**settings)


def document_of(app, path="/ai/v1/openapi.json"):
    response = app.test_client().get(path)
    assert response.status_code == 200, response.text
    return response.json


def gaps(document, app):
    """Return what the document of the gateway in *app* lacks, and what it has too much."""
    served = {
        f"{method} {PLACE.sub(OPENAPI_PLACE, rule.rule)}"
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if rule.endpoint.startswith("wrapper")
    }
    told = {
        f"{method.upper()} {path}": one
        for path, methods in document["paths"].items()
        for method, one in methods.items()
    }
    found = [f"{name} is served and not told" for name in served - set(told)]
    found += [f"{name} is told and not served" for name in set(told) - served]
    found += [f"{name} has no summary" for name, one in told.items() if not one.get("summary")]
    return found + [f"{name} has no answer" for name, one in told.items() if not answers_of(one)]


def answers_of(told):
    """Return the schemas of an operation's answers that are no errors."""
    return [
        content["schema"]
        for status, response in told["responses"].items()
        if status.startswith("2")
        for content in response["content"].values()
    ]


# The document as such


@pytest.mark.parametrize("path", ["/openapi.json", "/v1/openapi.json"])
@pytest.mark.parametrize("settings", [{}, {"api_key": KEY}])
def test_document(path, settings):
    """The document is to be had without a key, at the root and under the prefix."""
    document = document_of(ScriptedServer(**settings).app, path)
    assert document["openapi"].startswith("3.1.")
    info = document["info"]
    assert (info["title"], info["version"]) == ("claude-code-gateway", __version__)
    assert info["license"]["identifier"] == "MIT"


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("settings", [{}, {"api_key": KEY}])
def test_valid(kind, settings):
    """The document is valid OpenAPI 3.1."""
    OpenAPIV31SpecValidator(build_document(app_of(kind, **settings), needs_key=True)).validate()


def test_foreign_callers():
    """What needs no key is still closed to foreign web pages."""
    server = ScriptedServer()
    error_of(server.client.get("/openapi.json", headers={"Origin": "https://evil.example"}), 403)


def test_built_once():
    """The document is built for the first who asks, and kept."""
    app = embed()
    gateway = app.extensions["wrapper"]
    assert gateway.document(app) is gateway.document(app)


def test_server():
    """Paths hold behind a proxy's prefix, which the document names as its server."""
    client = ScriptedServer().client
    for prefix in ("/under", ""):
        environ = {"SCRIPT_NAME": prefix}
        document = client.get("/openapi.json", environ_overrides=environ).get_json()
        assert document["servers"] == [{"url": prefix or "/"}]


# All that is served


@pytest.mark.parametrize("kind", ALL)
def test_coverage(kind):
    """Every route and method is in the document with a summary and an answer, and nothing else."""
    app = app_of(kind)
    document = build_document(app, needs_key=False)
    assert gaps(document, app) == []
    assert len(document["paths"]) == {CREATED: 16, EMBEDDED: 12}[kind]


def test_paths():
    """Paths are those that a client asks for."""
    paths = document_of(embed())["paths"]
    assert list(paths["/ai/v1/chat/completions"]) == ["post"]
    (place,) = paths["/ai/v1/models/{model_id}"]["get"]["parameters"]
    assert (place["name"], place["in"], place["required"]) == ("model_id", "path", True)
    assert "/ai/v1/own" not in paths


def test_session_ids():
    """The document tells what a session's id may be, in the path as in the body."""
    document = document_of(embed())
    in_body = document["components"]["schemas"]["ChatRequest"]["properties"]["session_id"]
    for method in ("get", "delete"):
        told = document["paths"]["/ai/v1/sessions/{session_id}"][method]
        (place,) = told["parameters"]
        assert (place["name"], place["in"], place["required"]) == ("session_id", "path", True)
        for key in ("minLength", "maxLength", "not"):
            assert place["schema"][key] == in_body[key]
        assert {"400", "404"} <= set(told["responses"])


def test_undeclared_view():
    """A view that declares nothing is in the document, and is found by the check above."""

    def extra():
        """Do more."""

    app = embed(("/extra", extra), ("/mute", lambda: ""))
    document = document_of(app)
    OpenAPIV31SpecValidator(document).validate()
    assert document["paths"]["/ai/v1/extra"]["get"]["summary"] == "Do more."
    assert sorted(gaps(document, app)) == [
        "GET /ai/v1/extra has no answer",
        "GET /ai/v1/mute has no answer",
        "GET /ai/v1/mute has no summary",
    ]


def test_gaps_are_found():
    """The check finds a route that is not told of, and one that is not there."""
    app = embed()
    document = build_document(app, needs_key=False)
    document["paths"]["/nowhere"] = document["paths"].pop("/ai/v1/health")
    assert sorted(gaps(document, app)) == [
        "GET /ai/v1/health is served and not told",
        "GET /nowhere is told and not served",
    ]


class _QuerySchema(BaseSchema):
    start = fields.Date(required=True, metadata={"description": "The first day."})
    size = fields.Integer()


@operation(query=_QuerySchema, answers={200: ModelSchema}, needs_key=False)
def _declared(number, kind):
    """Count.

    And tell more of it.
    """
    return {"counted": [number, kind]}


def test_declared_view():
    """A further view's query, places, answers and docstring are told as it declares them."""
    app = embed(("/count/<int:number>/<any(a, b):kind>", _declared), api_key=KEY)
    document = document_of(app)
    OpenAPIV31SpecValidator(document).validate()
    assert gaps(document, app) == []
    told = document["paths"]["/ai/v1/count/{number}/{kind}"]["get"]
    assert (told["summary"], told["description"]) == ("Count.", "And tell more of it.")
    found = {one["name"]: (one["in"], one["required"]) for one in told["parameters"]}
    places = {"number": ("path", True), "kind": ("path", True)}
    assert found == {**places, "start": ("query", True), "size": ("query", False)}
    assert told["parameters"][2]["description"] == "The first day."
    assert set(told["responses"]) == {"200", "400", "403", "404", "405", "500"}
    assert told["security"] == [{}]


def test_key_as_declared():
    """A key is asked for wherever a view does not declare that it needs none."""
    views = [("/open/<number>/<kind>", _declared), ("/closed", lambda: "in")]
    client = embed(*views, api_key=KEY).test_client()
    assert client.get("/ai/v1/open/1/a").status_code == 200
    error_of(client.get("/ai/v1/closed"), 401)
    assert client.get("/ai/v1/closed", headers={"x-api-key": KEY}).status_code == 200


@pytest.mark.parametrize("api_key", ["", KEY])
def test_security(api_key):
    """The document asks for a key exactly where the gateway does."""
    app = ScriptedServer(api_key=api_key).app
    for path, methods in document_of(app, "/openapi.json")["paths"].items():
        for method, told in methods.items():
            asked = app.test_client().open(
                path.format(model_id="opus", session_id="s"), method=method, json={}
            )
            assert (asked.status_code == 401) == (told["security"] != [{}]), path
