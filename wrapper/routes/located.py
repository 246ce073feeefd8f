"""Errors that name the request's parameters as its own API does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from wrapper.errors import ApiError


@contextmanager
def located_errors(locate: Callable[[str], str]) -> Iterator[None]:
    """Give an ApiError that is raised meanwhile the paths that *locate* returns for its own."""
    try:
        yield
    except ApiError as error:
        raise error.relocated(locate) from error
