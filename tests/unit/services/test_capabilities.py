"""Capabilities: what each family of models accepts, and what the CLI reports."""

from dataclasses import replace

import pytest

from wrapper.services.catalog import NEWEST, Capabilities, Catalog, Model, capabilities_of
from wrapper.services.claude.processes.models import ask_models, read_models
from wrapper.testing import rules

ALL, NO_TOP_P = Capabilities(), Capabilities(top_p=False)
NO_EFFORT = Capabilities(reasoning_effort=False, effort_levels=False)
NO_LEVELS = Capabilities(effort_levels=False)
NEITHER = Capabilities(top_p=False, effort_levels=False)
NO_SAMPLING = Capabilities(temperature=False, top_p=False)


def beside_output(capabilities):
    """Return the capabilities without the length of answers."""
    return replace(capabilities, max_output_tokens=ALL.max_output_tokens)


@pytest.mark.parametrize(
    ("model", "most"),
    [
        ("claude-3-haiku-20240307", 4_096),
        ("claude-3-5-haiku-20241022", 8_192),
        ("us.anthropic.claude-3-5-sonnet-20241022-v2:0", 8_192),
        ("claude-3-7-sonnet-20250219", 64_000),
        ("claude-sonnet-4-20250514", 64_000),
        ("claude-sonnet-4@20250514", 64_000),
        ("claude-sonnet-4-5-20250929", 64_000),
        ("claude-sonnet-4-6", 128_000),
        ("claude-haiku-4-5@20251001", 64_000),
        ("claude-opus-4-20250514", 32_000),
        ("claude-opus-4-1-20250805", 32_000),
        ("claude-opus-4-5", 64_000),
        ("claude-opus-4-6", 128_000),
        ("claude-opus-5-5", 128_000),
        ("nobody-knows", 128_000),
    ],
)
def test_length_of_answers(model, most):
    """The limit of an answer depends on the family."""
    assert capabilities_of(model).max_output_tokens == most


@pytest.mark.parametrize(
    ("model", "capabilities"),
    [
        ("claude-3-5-haiku-20241022", NO_EFFORT),
        ("anthropic.claude-3-7-sonnet-20250219-v1:0", NO_EFFORT),
        ("anthropic.claude-v2", NO_EFFORT),
        ("claude-sonnet-4-20250514", NO_LEVELS),
        ("claude-sonnet-4@20250514", NO_LEVELS),
        ("us.anthropic.claude-opus-4-20250514-v1:0", NO_LEVELS),
        ("claude-opus-4-1-20250805", NEITHER),
        ("claude-sonnet-4-5", NEITHER),
        ("claude-haiku-4-5@20251001", NEITHER),
        ("claude-opus-4-5", NO_TOP_P),
        ("us.anthropic.claude-sonnet-4-6[1m]", NO_TOP_P),
        ("us.anthropic.claude-opus-4-6-v1", NO_TOP_P),
        ("claude-opus-4-7", NO_SAMPLING),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-opus-4-8", NO_SAMPLING),
        ("claude-opus-5", NO_SAMPLING),
        ("claude-sonnet-5-20260101", NO_SAMPLING),
        ("claude-sonnet-5-5", NEWEST),
        ("claude-opus-5-5@20270101", NEWEST),
        ("claude-fable-5-2", NEWEST),
        ("claude-new-9", NEWEST),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/x", ALL),
        ("sonnet", ALL),
    ],
)
def test_families(model, capabilities):
    """The family is found in a provider's or a dated id, too."""
    assert beside_output(capabilities_of(model)) == capabilities


@pytest.mark.parametrize("name", rules.MODELS)
def test_nothing_is_sent_that_the_api_refuses(name):
    """No family accepts what the API's own rules refuse."""
    capabilities, rule = capabilities_of(name), rules.MODELS[name]
    assert capabilities.temperature == rule.sampling
    assert capabilities.top_p == rule.pair
    assert capabilities.thinking_off == rule.thinking_off


@pytest.mark.parametrize(
    ("row", "capabilities"),
    [
        ({"supportsEffort": True, "supportsThinkingOff": False}, NEWEST),
        ({"supportsEffort": True, "supportsThinkingOff": True}, NO_SAMPLING),
        ({}, NEWEST),
        ({"resolvedModel": "claude-opus-4-1", "supportsThinkingOff": True}, NEITHER),
    ],
)
def test_what_the_cli_says(row, capabilities):
    """The CLI's report of a model counts, and its family where there is no report."""
    rows = [{"value": "new", "resolvedModel": "claude-new-9", **row}, {"displayName": "none"}]
    (model,) = read_models(rows)
    assert (model.id, beside_output(model.capabilities)) == ("new", capabilities)


@pytest.mark.parametrize(
    ("row", "needs"),
    [
        ({"disabled": True, "description": "Requires Claude Code v2.1.400 or later"}, "2.1.400"),
        (
            {"disabled": True, "description": "x · Requires Claude Code v3.0.0-b or later"},
            "3.0.0-b",
        ),
        ({"disabled": True, "description": "Not supported in this version of Claude Code"}, None),
        ({"disabled": True}, None),
        ({"description": "Requires Claude Code v2.1.400 or later"}, None),
    ],
)
def test_a_model_that_needs_another_cli(row, needs):
    """A model for which the CLI is too old has the version that it names; nothing is guessed."""
    models = read_models([{"value": "claude-new-9", **row}])
    catalog = Catalog(lambda: models, default="sonnet", aliases={"new": "claude-new-9"}, remap=True)
    assert catalog.min_version(catalog.choose("new").model) == needs
    assert catalog.min_version("claude-other-9") is None


def supports_in(reported, model):
    catalog = Catalog(lambda: reported, default="sonnet", aliases={}, remap=True)
    return beside_output(catalog.capabilities(model))


def test_names():
    """A name has the capabilities of the model that it runs."""
    reported = [
        Model("sonnet", "claude-sonnet-5-5", capabilities=NO_SAMPLING),
        Model("haiku", "us.anthropic.claude-haiku-4-5-v1:0"),
    ]
    assert supports_in(reported, "sonnet") == NO_SAMPLING
    assert supports_in(reported, "claude-sonnet-5-5") == NO_SAMPLING
    assert supports_in(reported, "haiku") == NEITHER
    assert supports_in(reported, "claude-opus-5-5") == NEWEST


class Cli:
    """Lists these names, resolves its aliases, and answers as a CLI does."""

    def __init__(self, listed, runs):
        self._listed, self._runs, self._model = listed, runs, None

    def ask(self, request):
        match request["subtype"]:
            case "list_models":
                return {"models": [{"value": name} for name in self._listed]}
            case "apply_flag_settings":
                self._model = request["settings"]["model"]
                return {}
        return {"applied": {"model": self._runs[self._model]}} if self._runs else {}


def test_aliases_that_the_cli_does_not_list():
    """The model of an alias is asked for, and stays unknown where the CLI does not report it."""
    runs = {"sonnet": "claude-sonnet-4-5@20250929", "opus": "claude-opus-5-5"}
    models = read_models(ask_models(Cli(["haiku"], runs).ask))
    assert {model.id: model.runs for model in models} == {"haiku": "haiku", **runs}
    assert (supports_in(models, "opus"), supports_in(models, "sonnet")) == (NEWEST, NEITHER)
    assert [model.id for model in read_models(ask_models(Cli(["haiku"], {}).ask))] == ["haiku"]


def test_unknown_aliases():
    """An alias means the newest model until the CLI reports; an unreported one may then be any."""
    assert supports_in([], "sonnet") == NEWEST
    assert supports_in([Model("default", "claude-opus-5-5")], "sonnet") == ALL
