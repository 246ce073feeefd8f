"""The catalogue: what each name of a model means."""

from __future__ import annotations

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
    ],
)
def test_passed_on(name):
    """Claude's own names, the CLI's aliases and providers' ids run as they are."""
    assert catalog().choose(name).model == name


@pytest.mark.parametrize("name", ["gpt-4o", "gemini-pro", "o3", "text-davinci-003", "sonnets"])
def test_foreign(name):
    """Foreign names are OpenAI's 404 that names the parameter."""
    with pytest.raises(ModelNotFound, match=name) as caught:
        catalog().choose(name)
    assert (caught.value.status, caught.value.param) == (404, "model")


def test_alias():
    """MODEL_ALIASES gives a foreign name a meaning, also one that is retired."""
    aliases = {"gpt-4o": "sonnet", "old": "claude-3-5-haiku-20241022"}
    assert catalog(aliases=aliases).choose("gpt-4o").model == "sonnet"
    assert catalog(aliases=aliases).choose("old").model == "haiku"


@pytest.mark.parametrize(("name", "family"), LEGACY.items())
def test_legacy(name, family):
    """A retired model runs its family's current one and says so, unless that is not wanted."""
    assert (catalog().choose(name).model, catalog().choose(name).remapped) == (family, name)
    strict = catalog(remap=False).choose(name)
    assert (strict.model, strict.remapped) == (name, None)


def test_default():
    """A request that names no model gets the default."""
    assert catalog(default="opus").choose(None).model == "opus"


def test_listed_once():
    """Each name is listed once: reported, aliases, retired ones and the operator's own."""
    ids = [model.id for model in catalog(aliases={"gpt-4o": "sonnet"}).models()]
    assert len(ids) == len(set(ids))
    assert {"sonnet", "fable", "opus", "claude-fable-5-2", "gpt-4o", *LEGACY} <= set(ids)


def test_listed_before_the_cli_was_asked():
    """Without any process yet the aliases and the retired ones are listed."""
    assert {"sonnet", "opus", "haiku", *LEGACY} == {m.id for m in catalog(reported=[]).models()}


def test_every_listed_name_can_be_used():
    """What is listed can be asked for."""
    served = catalog(aliases={"gpt-4o": "sonnet"})
    assert all(served.choose(model.id).model for model in served.models())


@pytest.mark.parametrize(
    ("model_id", "seconds"), [("claude-sonnet-4-20250514", 1747180800), ("sonnet", 0)]
)
def test_created(model_id, seconds):
    """A model's date is the one in its id."""
    assert created(model_id) == seconds
