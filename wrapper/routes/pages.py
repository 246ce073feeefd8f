"""Pages of lists in OpenAI's form."""

from __future__ import annotations

from collections.abc import Sequence

from wrapper.errors import InvalidRequest
from wrapper.json_text import Json


def page_of(items: Sequence[Json], after: str | None, limit: int) -> Json:
    """Return the *limit* items after the one with the id *after*, or the first ones without it.

    Raises InvalidRequest if no item has that id.
    """
    begin = 0
    if after is not None:
        ids = [item["id"] for item in items]
        if after not in ids:
            raise InvalidRequest(
                "after: it must be the id of an item of this list.",
                param="after",
                code="invalid_value",
            )
        begin = ids.index(after) + 1
    data = list(items[begin : begin + limit])
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": begin + limit < len(items),
    }
