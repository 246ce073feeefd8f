"""The stored items that an input refers to by their ids."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from wrapper.errors import InvalidRequest, ItemNotFound, RequestTooLarge
from wrapper.json_text import Json
from wrapper.services.messages.items import ItemReference
from wrapper.services.responses.codec import from_text, unpack
from wrapper.services.responses.record import ResponseRecord
from wrapper.services.responses.records import Records, readable

# The id of an item has that of its response in it, and tells whether it belongs to its input.
_ID = re.compile(r"(in|[a-z]{2,4})_([0-9a-f]{32})_[0-9]{1,9}")
# How many responses are read at once, which bounds the memory that they take.
BATCH = 8
# How many times the bytes of a conversation are read, packed, to find items. Clients that send all
# items with each request store them all with each response.
READS = 16

# The id of a response, and whether its input is meant.
Source = tuple[str, bool]


def find_items(
    records: Records, references: Sequence[ItemReference], max_bytes: int
) -> Mapping[str, Json]:
    """Return the items of *references*, by their ids.

    Raises ItemNotFound, InvalidRequest for an id that stands twice, and RequestTooLarge where the
    inputs and outputs with the items have more than *max_bytes*.
    """
    by_source = _by_source(references)
    sources = list(by_source)
    items: dict[str, Json] = {}
    packed = READS * max_bytes
    for start in range(0, len(sources), BATCH):
        batch = sources[start : start + BATCH]
        batch_records = records.read([id_ for id_, _ in batch])
        for source, record in zip(batch, batch_records, strict=True):
            stored, size = _read(source, record)
            max_bytes -= size
            packed -= record.packed_size if record else 0
            for reference in by_source[source]:
                if reference.id not in stored:
                    raise _not_found(reference)
                if max_bytes < 0 or packed < 0:
                    raise _too_large(reference)
                items[reference.id] = stored[reference.id]
    return items


def _by_source(references: Iterable[ItemReference]) -> Mapping[Source, list[ItemReference]]:
    by_source: dict[Source, list[ItemReference]] = defaultdict(list)
    known = set()
    for reference in references:
        match = _ID.fullmatch(reference.id)
        if match is None:
            raise _not_found(reference)
        if reference.id in known:
            raise InvalidRequest(
                f"{reference.path}.id: another item refers to {reference.id!r}; leave one out.",
                param=f"{reference.path}.id",
                code="invalid_value",
            )
        known.add(reference.id)
        by_source[f"resp_{match[2]}", match[1] == "in"].append(reference)
    return by_source


def _read(source: Source, record: ResponseRecord | None) -> tuple[dict[str, Json], int]:
    """Return the items of *source* by their ids, and the bytes of their JSON."""
    if record is None:
        return {}, 0
    id_, is_input = source
    with readable(id_):
        text = unpack(record.input if is_input else record.output)
        return {item["id"]: item for item in from_text(text)}, len(text)


def _not_found(reference: ItemReference) -> ItemNotFound:
    param = f"{reference.path}.id"
    return ItemNotFound(
        f"{param}: Item with id {reference.id[:128]!r} not found. Items are kept only with store, "
        "for SESSION_TTL; send the item itself.",
        param=param,
    )


def _too_large(reference: ItemReference) -> RequestTooLarge:
    param = f"{reference.path}.id"
    return RequestTooLarge(
        f"{param}: the responses that the input refers to have more bytes than SESSION_MAX_BYTES "
        "allows; begin a conversation with a summary of this one.",
        param=param,
    )
