"""Comparison of JSON values to the last digit."""

from decimal import Decimal


def same_digits(written, arrived):
    """Say whether *arrived* equals *written*, whose numbers are tuples with their text."""
    match written:
        case tuple():  # a number
            if isinstance(arrived, str):
                return arrived == written[0]
            text = repr(arrived)
            signs = written[0].startswith("-") == text.startswith("-")
            return signs and Decimal(text) == Decimal(written[0])
        case dict():
            order = arrived.get("keys in order", [*arrived])
            return [*written] == order and all(same_digits(written[k], arrived[k]) for k in written)
        case list():
            return len(written) == len(arrived) and all(map(same_digits, written, arrived))
    return written == arrived and type(written) is type(arrived)
