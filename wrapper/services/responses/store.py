"""The protocol of response stores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from wrapper.services.listing import Key


class ResponseStore(Protocol):
    """Keeps a value for each response, by owner and id, for a time to live after its last use.

    Values are bytes that the gateway encodes. Ids are random and values do not change, so that no
    two writers meet. `ids` are never empty. A store that is full forgets what was used longest ago.
    All methods but `health` and `close` raise Unavailable where the store cannot be reached.
    """

    def put(self, owner: str, id_: str, value: bytes) -> bool:
        """Keep *value*, in place of one of the same id. Return False if it is too large."""
        ...

    def read(self, owner: str, ids: Sequence[str]) -> Sequence[bytes | None]:
        """Return the value of each of *ids*, or None where there is none. Reading is a use.

        The last of *ids* counts as the one that was used last.
        """
        ...

    def touch(self, owner: str, ids: Sequence[str]) -> None:
        """Count as a use of each of *ids*, like `read`."""
        ...

    def ids(self, owner: str) -> Sequence[str]:
        """Return the ids of the owner's values, those used last first. This is no use of them."""
        ...

    def peek(self, owner: str, ids: Sequence[str]) -> Sequence[bytes | None]:
        """Return the values as `read` does, without counting it as a use."""
        ...

    def delete(self, owner: str, id_: str) -> bool:
        """Delete a value, and say whether there was one."""
        ...

    def health(self) -> dict[str, Any]:
        """Return `status` (ok or failing) and its `error`, without waiting."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class ListsResponses(Protocol):
    """A ResponseStore that can list the responses of all owners. Requests do not wait for it."""

    def keys(self) -> Sequence[Key]:
        """Return owner and id of at most MOST_LISTED values, those used last first.

        Some of them may be gone.
        """
        ...
