"""LangChain's standard tests of chat models, run through its OpenAI client.

They ask a thinking model in plain words. The scripted one needs directives, so a small subclass
writes these over the last text of the user; nothing else that is sent or read is touched.
"""

import json
import os
from types import SimpleNamespace

import pytest
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests, chat_models
from picture import PICTURE

PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>"
VALUES = {
    "a": 3,
    "answer_style": "Pirate",
    "b": 4,
    "customer_name": "你好啊集团 こんにちは株式会社",
    "description": "A customer.",
    "input": 3,
    "location": "San Francisco, CA",
    "punchline": "Because they have nine of them.",
    "setup": "Why do cats waste lives?",
}


class ScriptedChatOpenAI(ChatOpenAI):
    """ChatOpenAI that asks the scripted model for what a model would do by itself."""

    def _get_request_payload(self, *args, **kwargs):
        payload = super()._get_request_payload(*args, **kwargs)
        directive = directive_of(payload)
        asked = [message for message in payload["messages"] if message["role"] == "user"]
        if directive and isinstance(asked[-1]["content"], str):
            asked[-1]["content"] = directive
        return payload


def directive_of(payload):
    """Return the directive that fits what *payload* offers, or nothing where it offers nothing."""
    if payload.get("tools"):
        function = payload["tools"][0]["function"]
        return f"[[tool {function['name']} {fill(function['parameters'])}]] [[say Done.]]"
    wanted = payload.get("response_format") or {"type": "text"}
    if not isinstance(wanted, dict):  # the client turns a class into its schema later
        return f"[[json {fill(wanted.model_json_schema())}]]"
    if wanted["type"] == "json_schema":
        return f"[[json {fill(wanted['json_schema']['schema'])}]]"
    if wanted["type"] == "json_object":
        return f"JSON: [[json {fill({'properties': {'setup': {}, 'punchline': {}}})}]]"
    return None


def fill(schema):
    return json.dumps({name: VALUES[name] for name in schema["properties"]}, ensure_ascii=False)


@pytest.fixture(autouse=True)
def _no_web(monkeypatch):
    """Give the tests a picture and a PDF of our own in place of those that they fetch."""

    def get(url, **_):
        return SimpleNamespace(content=PDF if url.endswith(".pdf") else PICTURE)

    monkeypatch.setattr(chat_models.httpx, "get", get)


@pytest.fixture
def vcr():
    """Stand in for a record of HTTP: it holds nothing, so that the server is asked."""
    return SimpleNamespace(responses=[])


class TestStandard(ChatModelIntegrationTests):
    """What the gateway can do is said here; cases without it are listed in test_clients.py."""

    chat_model_class = ScriptedChatOpenAI
    model_override_value = "claude-haiku-4-5-20251001"
    supports_json_mode = True
    supports_image_inputs = True
    supports_pdf_inputs = True
    enable_vcr_tests = True

    @property
    def chat_model_params(self):
        return {"model": os.environ["CLIENT_MODEL"], "stream_usage": True, "max_retries": 0}
