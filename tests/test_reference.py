"""The settings and ceilings, as .env.example and the README tell of them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from wrapper import reference
from wrapper.services.principal import Principal

ROOT = Path(__file__).parents[1]


def test_env_example_is_up_to_date():
    """.env.example is what the table of settings says; `make docs` writes it."""
    assert (ROOT / ".env.example").read_text() == reference.env_example()


def test_readme_is_up_to_date():
    """The README's tables are what the code says; `make docs` writes them."""
    text = (ROOT / "README.md").read_text()
    for what in ("settings", "ceilings"):
        begin, end = reference.marks(what)
        assert text.index(begin) < text.index(end)
    assert reference.with_tables(text) == text


def test_every_ceiling_is_told():
    """The table of ceilings has a row for each of a principal's, and for nothing else."""
    head, line, *rows = reference.ceilings_table().splitlines()
    assert (head, line) == ("| ceiling | meaning |", "| --- | --- |")
    told = [row.split("`")[1] for row in rows]
    assert told == [row.name for row in fields(Principal)][2:]  # after its name, and `shares`
