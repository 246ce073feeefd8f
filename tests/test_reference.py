"""The settings, as .env.example and the README tell of them."""

from __future__ import annotations

from pathlib import Path

from wrapper import reference

ROOT = Path(__file__).parents[1]


def test_env_example_is_up_to_date():
    """.env.example is what the table of settings says; `make docs` writes it."""
    assert (ROOT / ".env.example").read_text() == reference.env_example()


def test_readme_is_up_to_date():
    """The README's table is what the table of settings says; `make docs` writes it."""
    text = (ROOT / "README.md").read_text()
    assert reference.BEGIN in text
    assert reference.with_table(text) == text
