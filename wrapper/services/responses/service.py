"""The response service: continues stored responses, keeps new ones, and answers /v1/responses/…."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from wrapper.errors import InvalidRequest, ResponseNotFound, Unavailable
from wrapper.json_text import Json
from wrapper.notes import NO_NOTES
from wrapper.services.approvals.service import ApprovalService
from wrapper.services.fronts.responses import NOT_KEPT, ResponseRequest
from wrapper.services.listing import Key, Listing, ListQuery
from wrapper.services.messages.items import InputItem, Item, ItemReference, bound_thinking
from wrapper.services.principal import Caller, Principal
from wrapper.services.responses.call_approvals import CallApprovals
from wrapper.services.responses.codec import from_text, unpack
from wrapper.services.responses.history import PREVIOUS, with_history
from wrapper.services.responses.memory_store import MemoryResponseStore
from wrapper.services.responses.record import ResponseRecord
from wrapper.services.responses.records import Records, readable
from wrapper.services.responses.redis_store import RedisResponseStore
from wrapper.services.responses.references import find_items
from wrapper.services.responses.response_turn import ResponseTurn
from wrapper.services.responses.store import ListsResponses, ResponseStore
from wrapper.services.usage.access import readable_key
from wrapper.settings import Settings

PREVIOUS_NOT_FOUND = "previous_response_not_found"

# Returns what a stored item adds to the conversation, at a path. Raises ValueError.
LoadItem = Callable[[str, Json], Item | None]


class ResponseService:
    """The responses in *store*, if there is one. *keeps* is the setting RESPONSES_STORE.

    *load_item* loads stored items. A response may have *max_bytes*, with those that it continues.
    *approvals* are those of the calls with which responses end.
    """

    def __init__(
        self,
        store: ResponseStore | None,
        load_item: LoadItem,
        approvals: CallApprovals,
        *,
        keeps: str,
        max_bytes: int,
    ):
        self._store = store
        self._approvals = approvals
        self._load_item = load_item
        self._keeps = keeps
        self._max_bytes = max_bytes

    def begin(self, asked: ResponseRequest, caller: Caller) -> ResponseTurn:
        """Return the turn of a response, with the messages of all that it refers to.

        Raises InvalidRequest, ItemNotFound, RequestTooLarge, Unavailable or BadGateway.
        """
        owner = caller.principal.name
        records = Records(self._store, owner)
        path = _path_to(records, asked.previous_response_id)
        before = [*bound_thinking(item for each in path for item in self._items(*each))]
        given = self._resolve(records, asked.input)
        decided, sent = self._approvals.settle(owner, before, given)
        before.extend(self._load_all(decided))
        own = bound_thinking(self._own(asked.input, sent))
        stores, wanted = self._stores(asked.store)
        return ResponseTurn(
            _saying_store(with_history(asked, before, own), stores=stores),
            records,
            [*decided, *sent],
            tuple(id_ for id_, _ in path),
            path[-1][1].size if path else 0,
            self._max_bytes,
            partial(self._approvals.offer, owner, caller.request_id),
            NOT_KEPT if wanted and not stores else NO_NOTES,
        )

    def read(self, principal: Principal, id_: str, key: str | None = None) -> Json:
        """Return a stored response of *principal*, or as an admin of another *key*.

        It is as the client got it last. Raises ResponseNotFound, or PermissionDenied where *key* is
        another's and *principal* is no admin.
        """
        record = self._find(principal, id_, key)
        with readable(id_):
            response: Json = from_text(unpack(record.response))
            return {**response, "output": from_text(unpack(record.output))}

    def find(self, principal: Principal, query: ListQuery) -> Listing[tuple[str, Json]]:
        """Return owners and responses, without outputs, those used last first. This is no use.

        An admin sees those of all keys, where the store can list them, and else their own. Raises
        PermissionDenied as `read` does.
        """
        key = readable_key(principal, query.key, f"the responses of {query.key!r}")
        owner, keys = self._keys(key, principal)
        found = [each for each in keys if query.matches(each[1])]
        rows = [
            (of, from_text(unpack(record.response)))
            for of, id_ in query.page_of(found)
            for _, record in Records(self._store, of).peek([id_])
        ]
        return Listing(rows, len(found), len(keys), owner)

    def read_input(self, principal: Principal, id_: str, key: str | None = None) -> Sequence[Json]:
        """Return the items of a response's own input. Raises as `read` does."""
        record = self._find(principal, id_, key)
        with readable(id_):
            items: Sequence[Json] = from_text(unpack(record.input))
            return items

    def delete(self, principal: Principal, id_: str, key: str | None = None) -> None:
        """Delete a response, which nothing can continue any more. Raises as `read` does."""
        owner = _owner(principal, key)
        self._approvals.forget(owner, id_)
        if not Records(self._store, owner).delete(id_):
            raise missing(id_)

    def delete_all(self, owner: str) -> int:
        """Delete all responses of *owner*, and return how many there were. Raises Unavailable."""
        store = self._store
        return sum(store.delete(owner, id_) for id_ in store.ids(owner)) if store else 0

    def health(self) -> dict[str, Any] | None:
        """Return the health of the store, if there is one."""
        return self._store.health() if self._store else None

    def close(self) -> None:
        if self._store:
            self._store.close()

    def _keys(self, key: str | None, principal: Principal) -> tuple[str | None, Sequence[Key]]:
        """Return whose responses can be listed, or None for all, and the keys of them."""
        if key is None and isinstance(self._store, ListsResponses):
            return None, self._store.keys()
        owner = key or principal.name
        return owner, [(owner, id_) for id_ in Records(self._store, owner).ids()]

    def _find(self, principal: Principal, id_: str, key: str | None) -> ResponseRecord:
        """Return a record. It is used, unless an admin looks at another's."""
        owner = _owner(principal, key)
        records = Records(self._store, owner)
        is_own = owner == principal.name
        record = records.find(id_) if is_own else records.look_at(id_)
        if record is None:
            raise missing(id_)
        if is_own:
            records.touch(record.path)
        return record

    def _items(self, id_: str, record: ResponseRecord) -> Iterator[Item]:
        """Yield what a stored response adds to the conversation."""
        with readable(id_):
            for text in (record.input, record.output):
                yield from self._load_all(from_text(unpack(text)))

    def _load_all(self, items: Iterable[Json]) -> Iterator[Item]:
        """Yield what stored *items* add to the conversation."""
        return (item for stored in items if (item := self._load_item(PREVIOUS, stored)))

    def _resolve(self, records: Records, items: Iterable[InputItem]) -> list[Json]:
        """Return the items of an input as JSON, with those that are referred to."""
        references = [item.added for item in items if isinstance(item.added, ItemReference)]
        stored = find_items(records, references, self._max_bytes)
        return [
            stored[item.added.id] if isinstance(item.added, ItemReference) else item.sent
            for item in items
        ]

    def _own(self, items: Iterable[InputItem], sent: Iterable[Json]) -> Iterator[Item]:
        """Yield what the items of an input add, which are *sent* where they have another form."""
        for item, json in zip(items, sent, strict=True):
            added = item.added
            if added is not None and json is not item.sent:
                with readable(str(json.get("id"))):
                    added = self._load_item(added.path, json)
            if isinstance(added, Item):
                yield added

    def _stores(self, asked: bool | None) -> tuple[bool, bool]:
        """Return whether a response is kept, and whether that is wanted."""
        wanted = self._keeps == "always" if asked is None else asked
        stores = wanted and self._keeps != "never" and self._store is not None
        if stores and self._store and (error := self._store.health().get("error")):
            raise Unavailable(f"{error}; or send store: false.")
        return stores, wanted


def _saying_store(asked: ResponseRequest, *, stores: bool) -> ResponseRequest:
    """Return *asked*, whose response says whether it is kept."""
    request = asked.request
    if asked.store and not stores:
        request = replace(request, idle=(*request.idle, "store"))
    return replace(asked, request=request, repeated={**asked.repeated, "store": stores})


def _path_to(records: Records, id_: str | None) -> list[tuple[str, ResponseRecord]]:
    """Return the ids and records from the root to *id_*, which can be continued."""
    if id_ is None:
        return []
    path = records.path_to(id_)
    if path is None:
        raise InvalidRequest(
            f"Previous response with id {id_[:128]!r} not found.",
            param=PREVIOUS,
            code=PREVIOUS_NOT_FOUND,
        )
    _check_continuable(id_, path[-1])
    return list(zip((*path[-1].path, id_), path, strict=True))


def _check_continuable(id_: str, record: ResponseRecord) -> None:
    with readable(id_):
        response = from_text(unpack(record.response))
        reason = (response["incomplete_details"] or {}).get("reason")
    if response["status"] != "failed" and reason != "content_filter":
        return
    why = "failed" if response["status"] == "failed" else "was refused"
    instead = f"continue {record.path[-1]!r}" if record.path else "begin anew"
    raise InvalidRequest(
        f"{PREVIOUS}: {id_!r} {why} and cannot be continued; {instead} instead.",
        param=PREVIOUS,
        code="invalid_value",
    )


def open_responses(
    settings: Settings,
    load_item: LoadItem,
    approvals: ApprovalService,
    store: ResponseStore | None = None,
) -> ResponseService:
    """Return the service on *store* or the one of *settings*, if there is one."""
    return ResponseService(
        store or _open_store(settings),
        load_item,
        CallApprovals(approvals),
        keeps=settings.responses_store,
        max_bytes=settings.session_max_bytes,
    )


def _open_store(settings: Settings) -> ResponseStore | None:
    if settings.session_store == "none":
        return None
    if settings.session_store != "memory":
        return RedisResponseStore(settings.session_store, ttl=settings.session_ttl)
    return MemoryResponseStore(
        ttl=settings.session_ttl, count=settings.max_sessions, size=settings.sessions_max_bytes
    )


def _owner(principal: Principal, key: str | None) -> str:
    return readable_key(principal, key, f"the responses of {key!r}") or principal.name


def missing(id_: str) -> ResponseNotFound:
    """Return the error for a response that its caller does not have."""
    return ResponseNotFound(
        f"Response with id {id_[:128]!r} not found. It was not stored, or has expired.",
        param="response_id",
    )
