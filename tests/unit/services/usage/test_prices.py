"""Prices: the most that tokens cost, by the family of their model."""

import pytest

from wrapper.services.usage.prices import most
from wrapper.services.usage.store import Amounts

MILLION = 10**6
DOLLAR = 10**9


@pytest.mark.parametrize(
    ("model", "dollars"),
    [
        ("claude-sonnet-4-20250514", 3),
        ("claude-sonnet-4-5-20250929", 3),
        ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", 3),
        ("claude-sonnet-5", 2),
        ("claude-haiku-4-5@20251001", 1),
        ("claude-opus-4-20250514", 15),
        ("claude-opus-4-1-20250805", 15),
        ("claude-opus-4-5-20251101", 5),
        ("claude-opus-5-5", 5),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/x", 30),
    ],
)
def test_families(model, dollars):
    """A million input tokens cost the list price of the model's family, else the highest price."""
    assert most(model, Amounts(input=MILLION)) == dollars * DOLLAR


def test_kinds_of_tokens():
    """Output costs five times as much as input, reads a tenth, and writes at most twice as much."""
    amounts = Amounts(input=10, cache_read=100, cache_creation=1000, output=10_000, reasoning=9)
    assert most("claude-sonnet-4-5", amounts) == 3_000 * (10 + 10 + 2_000 + 50_000)
