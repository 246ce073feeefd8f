"""The generated tables in docs/ and .env.example."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from wrapper import docgen
from wrapper.schemas.chat.parameters import PARAMETERS
from wrapper.services.principal import Principal

ROOT = Path(__file__).parents[2]


def test_env_example_is_up_to_date():
    """.env.example matches the table of settings; `make docs` writes it."""
    assert (ROOT / ".env.example").read_text() == docgen.env_example()


def test_docs_are_up_to_date():
    """The tables in docs/ match the code; `make docs` writes them."""
    texts = [page.read_text() for page in ROOT.glob("docs/*.md")]
    for name in docgen.TABLES:
        begin, end = docgen.markers(name)
        assert sum(text.count(begin) for text in texts) == 1
        assert sum(text.count(end) for text in texts) == 1
    assert [docgen.with_tables(text) for text in texts] == texts


def test_every_ceiling():
    """The table of ceilings has a row for each ceiling of a principal, and no other."""
    head, line, *rows = docgen.ceilings_table().splitlines()
    assert (head, line) == ("| ceiling | meaning |", "| --- | --- |")
    names = [row.split("`")[1] for row in rows]
    assert names == [row.name for row in fields(Principal)][2:]  # without `name` and `shares`


def test_every_parameter():
    """The table of parameters has a row for each, with its kind and neutral values."""
    rows = docgen.parameters_table(PARAMETERS).splitlines()[2:]
    assert sorted(row.split("`")[1] for row in rows) == sorted(PARAMETERS)
    assert any(row.startswith("| `logprobs` | refused | `false` |") for row in rows)
    assert any(row.startswith("| `seed` | without effect |  |") for row in rows)


def test_promises_have_tests():
    """Each promise in SECURITY.md names tests, which exist."""
    promised = (ROOT / "SECURITY.md").read_text().split("## What is promised")[1].split("\n## ")[0]
    for promise in promised.split("\n- ")[1:]:
        names = re.findall(r"`([\w/]*(?:\.py|/))`", promise.rpartition("(")[2])
        assert names, promise
        assert [name for name in names if not (ROOT / "tests" / name).exists()] == []
