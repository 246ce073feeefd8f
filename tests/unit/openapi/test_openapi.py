"""The OpenAPI document is valid and describes every route."""

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
from wrapper.testing.engine import ScriptedEngine, answer, raw_answer

pytestmark = pytest.mark.packages

CREATED, EMBEDDED = "create_app", "a foreign app"
ALL = (CREATED, EMBEDDED)
PLACE, OPENAPI_PLACE = re.compile(r"<(?:[^>]*:)?(.*?)>"), r"{\1}"


def embed(*views, **settings):
    """Return another app with pages of its own and a gateway with these additional views."""
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
    """Return the differences between the document of the gateway in *app* and its routes."""
    served = {
        f"{method} {PLACE.sub(OPENAPI_PLACE, rule.rule)}"
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if rule.endpoint.startswith("wrapper")
    }
    described = {
        f"{method.upper()} {path}": details
        for path, methods in document["paths"].items()
        for method, details in methods.items()
    }
    differences = [f"{name} is served and not described" for name in served - set(described)]
    differences += [f"{name} is described and not served" for name in set(described) - served]
    differences += [
        f"{name} has no summary"
        for name, details in described.items()
        if not details.get("summary")
    ]
    return differences + [
        f"{name} has no answer" for name, details in described.items() if not responses_of(details)
    ]


def responses_of(details):
    """Return the schemas of an operation's responses, except errors."""
    return [
        content["schema"]
        for status, response in details["responses"].items()
        if status.startswith("2")
        for content in response["content"].values()
    ]


# The document as such


@pytest.mark.parametrize("path", ["/openapi.json", "/v1/openapi.json"])
@pytest.mark.parametrize("settings", [{}, {"api_key": KEY}])
def test_document(path, settings):
    """The document is served without a key, at the root and under the prefix."""
    document = document_of(ScriptedServer(**settings).app, path)
    assert document["openapi"].startswith("3.1.")
    info = document["info"]
    assert (info["title"], info["version"]) == ("claude-code-gateway", __version__)
    assert info["license"]["identifier"] == "MIT"


@pytest.mark.parametrize(("kind", "needs_key"), [(CREATED, True), (EMBEDDED, False)])
def test_valid(kind, needs_key):
    """The document is valid OpenAPI 3.1, with and without keys."""
    OpenAPIV31SpecValidator(build_document(app_of(kind), needs_key=needs_key)).validate()


def test_foreign_callers():
    """Routes that need no key still refuse foreign web pages."""
    server = ScriptedServer()
    error_of(server.client.get("/openapi.json", headers={"Origin": "https://evil.example"}), 403)


def test_built_once():
    """The document is built for the first request, and cached."""
    app = embed()
    gateway = app.extensions["wrapper"]
    assert gateway.document(app) is gateway.document(app)


def test_server():
    """Behind a proxy's prefix, the document names the prefix as its server."""
    client = ScriptedServer().client
    for prefix in ("/under", ""):
        environ = {"SCRIPT_NAME": prefix}
        document = client.get("/openapi.json", environ_overrides=environ).get_json()
        assert document["servers"] == [{"url": prefix or "/"}]


# All that is served


@pytest.mark.parametrize("kind", ALL)
def test_coverage(kind):
    """The document has exactly the served routes, each with a summary and a response."""
    app = app_of(kind)
    document = build_document(app, needs_key=False)
    assert gaps(document, app) == []
    assert len(document["paths"]) == {CREATED: 37, EMBEDDED: 33}[kind]


def test_paths():
    """The document's paths are those that clients request."""
    paths = document_of(embed())["paths"]
    assert list(paths["/ai/v1/chat/completions"]) == ["post"]
    (parameter,) = paths["/ai/v1/models/{model_id}"]["get"]["parameters"]
    assert (parameter["name"], parameter["in"], parameter["required"]) == ("model_id", "path", True)
    assert "/ai/v1/own" not in paths


def test_session_ids():
    """A session's id has the same schema in the path as in the body."""
    document = document_of(embed())
    in_body = document["components"]["schemas"]["ChatRequest"]["properties"]["session_id"]
    for method in ("get", "delete"):
        details = document["paths"]["/ai/v1/sessions/{session_id}"][method]
        (parameter,) = details["parameters"]
        assert (parameter["name"], parameter["in"], parameter["required"]) == (
            "session_id",
            "path",
            True,
        )
        for key in ("minLength", "maxLength", "not"):
            assert parameter["schema"][key] == in_body[key]
        assert {"400", "404"} <= set(details["responses"])


def test_undeclared_view():
    """An undeclared view is in the document, and the check above reports it."""

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
    """The check reports a route without description, and a description without a route."""
    app = embed()
    document = build_document(app, needs_key=False)
    document["paths"]["/nowhere"] = document["paths"].pop("/ai/v1/health")
    assert sorted(gaps(document, app)) == [
        "GET /ai/v1/health is served and not described",
        "GET /nowhere is described and not served",
    ]


class _QuerySchema(BaseSchema):
    start = fields.Date(required=True, metadata={"description": "The first day."})
    size = fields.Integer()


BODIES = [
    (method, path, content)
    for path, methods in document_of(ScriptedServer().app, "/openapi.json")["paths"].items()
    for method, details in methods.items()
    for content in details.get("requestBody", {}).get("content", {}).values()
]
# Those of requests that run turns.
EXAMPLES = [
    pytest.param(path, example["value"], id=f"{path} {name}")
    for method, path, content in BODIES
    for name, example in content.get("examples", {}).items()
    if "model" in example["value"]
]


@pytest.mark.parametrize(("path", "body"), EXAMPLES)
def test_examples(path, body):
    """The gateway answers each example of the document, and ignores nothing in it."""
    play = raw_answer if path == "/v1/messages" else answer
    response = ScriptedServer(*play('{"city": "Oslo"}')).post(
        {**body, "model": "scripted-model"}, path=path
    )
    assert response.status_code == 200, response.text
    assert "x-ignored-params" not in response.headers


def test_bodies_have_examples():
    """The document shows a body of each operation that takes one."""
    assert {path for _, path, _ in BODIES} >= {
        "/v1/chat/completions",
        "/v1/responses",
        "/v1/completions",
        "/v1/messages",
    }
    assert [path for _, path, content in BODIES if "examples" not in content] == []


@operation(query=_QuerySchema, answers={200: ModelSchema}, needs_key=False)
def _declared(number, kind):
    """Count.

    And tell more of it.
    """
    return {"counted": [number, kind]}


def test_declared_view():
    """An additional view is described by its declaration and its docstring."""
    app = embed(("/count/<int:number>/<any(a, b):kind>", _declared), api_key=KEY)
    document = document_of(app)
    OpenAPIV31SpecValidator(document).validate()
    assert gaps(document, app) == []
    details = document["paths"]["/ai/v1/count/{number}/{kind}"]["get"]
    assert (details["summary"], details["description"]) == ("Count.", "And tell more of it.")
    parameters = {row["name"]: (row["in"], row["required"]) for row in details["parameters"]}
    path_parameters = {"number": ("path", True), "kind": ("path", True)}
    assert parameters == {**path_parameters, "start": ("query", True), "size": ("query", False)}
    assert details["parameters"][2]["description"] == "The first day."
    assert set(details["responses"]) == {"200", "400", "403", "404", "405", "500"}
    assert details["security"] == [{}]


def test_key_as_declared():
    """An operation requires a key unless its view declares otherwise."""
    views = [("/open/<number>/<kind>", _declared), ("/closed", lambda: "in")]
    client = embed(*views, api_key=KEY).test_client()
    assert client.get("/ai/v1/open/1/a").status_code == 200
    error_of(client.get("/ai/v1/closed"), 401)
    assert client.get("/ai/v1/closed", headers={"x-api-key": KEY}).status_code == 200


@pytest.mark.parametrize("api_key", ["", KEY])
def test_security(api_key):
    """The document requires a key for exactly the operations for which the gateway does."""
    app = ScriptedServer(api_key=api_key).app
    for path, methods in document_of(app, "/openapi.json")["paths"].items():
        for method, details in methods.items():
            asked = app.test_client().open(
                path.format(
                    model_id="opus",
                    session_id="s",
                    response_id="r",
                    approval_id="a",
                    file_id="f",
                    batch_id="b",
                    key="k",
                ),
                method=method,
                json={},
            )
            assert (asked.status_code == 401) == (details["security"] != [{}]), path
