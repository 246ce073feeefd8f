"""Placeholder."""


def decode(body: bytes) -> None: ...
