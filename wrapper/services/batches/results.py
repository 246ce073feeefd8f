"""The result files of a batch: one for answers, and one for errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain
from typing import Protocol

from wrapper.errors import StoredFileNotFound
from wrapper.services.batches.batch import BatchState, LineResult
from wrapper.services.batches.store import BatchStore
from wrapper.services.files.service import FileService

PURPOSE = "batch_output"
# Results that are read from the store at once, unless they are large.
CHUNK = 50

# Returns the results of a line that has none when the batch ends, if it is to have any.
Unfinished = Callable[[int], LineResult | None]


class Owned(Protocol):
    """The batch's id and owner."""

    @property
    def id(self) -> str: ...

    @property
    def owner(self) -> str: ...


class ResultWriter:
    """Writes the results in *store* into *files*. A file that is not needed is not made."""

    def __init__(self, store: BatchStore, files: FileService):
        self._store = store
        self._files = files

    def write(self, batch: Owned, state: BatchState, seconds: int, unfinished: Unfinished) -> None:
        """Write what is missing of the two files, and note their ids in the store."""
        for fact, completed in (("output_file_id", True), ("error_file_id", False)):
            if not state.facts.get(fact):
                results = self._results(batch.id, state.total, unfinished)
                chosen = (line.data for line in results if line.completed is completed)
                if id_ := self._write(batch, fact, chosen, seconds):
                    self._note(batch, fact, id_)

    def _note(self, batch: Owned, fact: str, id_: str) -> None:
        """Note the id of a result file, or delete the file of a batch that was deleted."""
        self._store.change(batch.id, {fact: id_})
        if self._store.read(batch.id) is None:
            with suppress(StoredFileNotFound):
                self._files.delete(batch.owner, id_)

    def _results(self, id_: str, total: int, unfinished: Unfinished) -> Iterator[LineResult]:
        """Yield the results in the order of their lines."""
        first = 0
        while first < total:
            lines, stop = self._store.results(id_, first, min(CHUNK, total - first))
            found = {line.number: line for line in lines}
            for number in range(first, stop):
                if line := found.get(number) or unfinished(number):
                    yield line
            first = stop

    def _write(self, batch: Owned, fact: str, lines: Iterator[bytes], seconds: int) -> str | None:
        first = next(lines, None)
        if first is None:
            return None
        with self._files.result(batch.owner) as upload:
            for line in chain((first,), lines):
                upload.write(line + b"\n")
            name = f"{batch.id}_{fact.removesuffix('_file_id')}.jsonl"
            return upload.finish(name, PURPOSE, seconds).id
