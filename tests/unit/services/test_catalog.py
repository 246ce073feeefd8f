"""The catalog: the model that each name means."""

from __future__ import annotations

import re

import pytest

from wrapper.errors import ModelNotFound
from wrapper.services.catalog import LEGACY, Catalog, Model, created

REPORTED = [Model("sonnet", "claude-sonnet-5-5", "Sonnet"), Model("fable", "claude-fable-5-2")]


def catalog(reported=REPORTED, default="sonnet", aliases=(), remap=True):
    return Catalog(lambda: reported, default=default, aliases=dict(aliases), remap=remap)


@pytest.mark.parametrize(
    "name",
    [
        *("sonnet", "opus", "haiku", "fable", "claude-sonnet-5-5", "claude-anything-new"),
        *("us.anthropic.claude-sonnet-4-20250514-v1:0", "anthropic.claude-v2"),
        *("claude-sonnet-4@20250514", "arn:aws:bedrock:us-east-1:1:inference-profile/x"),
        *("claude-2.1", "claude-instant-1.2", "claude-opus-4-1-20250805", "claude-x@default"),
        *("anthropic.claude-v2:1", "anthropic.claude-3-haiku-20240307-v1:0:200k"),
        *("apac.anthropic.claude-x-v1:0", "global.anthropic.claude-x", "us-gov.anthropic.claude-x"),
        "arn:aws-us-gov:bedrock:us-gov-west-1:123:application-inference-profile/a1b2",
        "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0",
        "arn:aws:bedrock:eu-west-1:123:inference-profile/eu.anthropic.claude-x-v1:0",
    ],
)
def test_passed_on(name):
    """Claude's model ids, the CLI's aliases and providers' ids run unchanged."""
    assert catalog().choose(name).model == name


@pytest.mark.parametrize(
    "name",
    [
        *(
            "gpt-4o",
            "gemini-pro",
            "o3",
            "text-davinci-003",
            "sonnets",
            "Sonnet",
            "claude-",
            "claude",
        ),
        *("openai/gpt-4o", "foo/claude-bar", "foo/sonnet", "anthropic/", "/sonnet", "sonnet/"),
        *("openai/foo/sonnet", "openrouter/openai/gpt-4o", "anthropic/gpt-4o", "openai//sonnet"),
        *("llama3:8b", "sonnet:latest", "claude-x:0", "gpt-4o@20240101", "claude-x@latest2"),
        *("meta.llama3-70b-v1:0", "us.amazon.nova-pro-v1:0", "anthropic.titan", "evil/../sonnet"),
        "arn:aws:bedrock:us-east-1::foundation-model/amazon.titan-text-v1",
        "arn:aws:bedrock:us-east-1:1:inference-profile/us.amazon.nova-pro-v1:0",
        *("arn:aws:s3:::claude-x", "claude-x\n", "claude-sonnet-5-5[1m]", "claude x", "x.claude-y"),
    ],
)
def test_foreign(name):
    """An unknown name is OpenAI's 404 that names the parameter."""
    with pytest.raises(ModelNotFound, match=re.escape(repr(name))) as caught:
        catalog().choose(name)
    assert (caught.value.status, caught.value.param) == (404, "model")


def test_alias():
    """MODEL_ALIASES maps other names to models, even to retired ones."""
    aliases = {"gpt-4o": "sonnet", "old": "claude-3-5-haiku-20241022"}
    assert catalog(aliases=aliases).choose("gpt-4o").model == "sonnet"
    assert catalog(aliases=aliases).choose("old").model == "haiku"


@pytest.mark.parametrize(("name", "family"), LEGACY.items())
def test_legacy(name, family):
    """A retired model runs its family's current one and says so, if LEGACY_MODELS=remap."""
    assert (catalog().choose(name).model, catalog().choose(name).remapped) == (family, name)
    strict = catalog(remap=False).choose(name)
    assert (strict.model, strict.remapped) == (name, None)


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        *(("openai/sonnet", "sonnet"), ("anthropic/claude-sonnet-5-5", "claude-sonnet-5-5")),
        *(("openrouter/anthropic/claude-new-7", "claude-new-7"), ("openai/gpt-4o", "haiku")),
        *(("anthropic/claude-sonnet-4.5", "claude-sonnet-4-5"), ("claude-3.7-x", "claude-3-7-x")),
        *(("bedrock/eu.anthropic.claude-x-v1:0", "eu.anthropic.claude-x-v1:0"),),
        *(("vertex_ai/claude-x@20250514", "claude-x@20250514"), ("anthropic/o[1m]", "o[1m]")),
        *(("openai/claude-3-5-haiku-20241022", "haiku"), ("openai/mine", "opus")),
    ],
)
def test_routers_names(name, runs):
    """A router's prefix is dropped, and the rest of the name is looked up."""
    reported = [*REPORTED, Model("o[1m]", "claude-opus-5-5[1m]")]
    aliases = {"gpt-4o": "haiku", "openai/mine": "opus", "mine": "haiku"}
    served = catalog(reported, aliases=aliases)
    assert served.choose(name).model == runs
    assert served.find(name).runs == runs


def test_operators_names():
    """A model name in the settings goes upstream unchanged."""
    served = catalog(default="team/claude", aliases={"fast": "other/small"})
    assert served.choose(None).model == "team/claude"
    assert served.choose("fast").model == "other/small"
    assert served.choose("other/small").model == "other/small"


def test_default():
    """A request that names no model gets the default."""
    assert catalog(default="opus").choose(None).model == "opus"


def test_listed_once():
    """Each name is listed once: reported models, aliases, retired models and the settings' own."""
    ids = [model.id for model in catalog(aliases={"gpt-4o": "sonnet"}).models()]
    assert len(ids) == len(set(ids))
    assert {"sonnet", "fable", "opus", "claude-fable-5-2", "gpt-4o", *LEGACY} <= set(ids)


def test_listed_in_order():
    """Model ids come first with the default's at the top, and Claude Code's default is the last."""
    reported = [Model("default", "claude-opus-5-5", "Default (recommended)"), *REPORTED]
    models = catalog(reported, default="fable", aliases={"gpt-4o": "sonnet"}).models()
    ids = [model.id for model in models]
    assert ids[:3] == ["claude-fable-5-2", "claude-sonnet-5-5", "claude-opus-5-5"]
    assert ids[-1] == "default"
    assert len({model.name for model in models}) == len(models)
    names = {model.id: model.name for model in models}
    assert (names["sonnet"], names["gpt-4o"], names["opus"]) == ("Sonnet", "gpt-4o", "opus")


def test_listed_before_the_cli_was_asked():
    """Before a process has started, aliases and retired models are listed."""
    assert {"sonnet", "opus", "haiku", *LEGACY} == {m.id for m in catalog(reported=[]).models()}


def test_every_listed_name_can_be_used():
    """Every listed model can be requested."""
    served = catalog(aliases={"gpt-4o": "sonnet"})
    assert all(served.choose(model.id).model for model in served.models())


@pytest.mark.parametrize(
    ("model_id", "seconds"), [("claude-sonnet-4-20250514", 1747180800), ("sonnet", 0)]
)
def test_created(model_id, seconds):
    """A model's date is the one in its id."""
    assert created(model_id) == seconds


def test_many_prefixes():
    """A name may have any number of routers' prefixes."""
    with pytest.raises(ModelNotFound):
        catalog().choose("openai/" * 2000 + "x")
