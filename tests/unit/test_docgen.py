"""The tables of settings, ceilings, parameters and headers, as .env.example and docs/ have them."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from wrapper import docgen
from wrapper.schemas.chat.parameters import PARAMETERS
from wrapper.services.principal import Principal

ROOT = Path(__file__).parents[2]


def test_env_example_is_up_to_date():
    """.env.example is what the table of settings says; `make docs` writes it."""
    assert (ROOT / ".env.example").read_text() == docgen.env_example()


def test_docs_are_up_to_date():
    """The tables in docs/ are what the code says; `make docs` writes them."""
    texts = [page.read_text() for page in ROOT.glob("docs/*.md")]
    for what in docgen.TABLES:
        begin, end = docgen.marks(what)
        assert sum(text.count(begin) for text in texts) == 1
        assert sum(text.count(end) for text in texts) == 1
    assert [docgen.with_tables(text) for text in texts] == texts


def test_every_ceiling_is_told():
    """The table of ceilings has a row for each of a principal's, and for nothing else."""
    head, line, *rows = docgen.ceilings_table().splitlines()
    assert (head, line) == ("| ceiling | meaning |", "| --- | --- |")
    told = [row.split("`")[1] for row in rows]
    assert told == [row.name for row in fields(Principal)][2:]  # after its name, and `shares`


def test_every_parameter_is_told():
    """The table of parameters has a row for each, with its kind and what asks for nothing."""
    told = docgen.parameters_table().splitlines()[2:]
    assert sorted(row.split("`")[1] for row in told) == sorted(PARAMETERS)
    assert any(row.startswith("| `logprobs` | refused | `false` |") for row in told)
    assert any(row.startswith("| `seed` | without effect |  |") for row in told)


def test_promises_are_held():
    """Each promise in SECURITY.md names tests that hold it, and these are there."""
    promised = (ROOT / "SECURITY.md").read_text().split("## What is promised")[1].split("\n## ")[0]
    for promise in promised.split("\n- ")[1:]:
        named = re.findall(r"`([\w/]*(?:\.py|/))`", promise.rpartition("(")[2])
        assert named, promise
        assert [name for name in named if not (ROOT / "tests" / name).exists()] == []
