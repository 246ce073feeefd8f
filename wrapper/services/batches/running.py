"""A batch in one run of its job."""

from __future__ import annotations

import time
from dataclasses import dataclass

from wrapper.services.batches.batch import WINDOW_SECONDS, BatchRequest
from wrapper.services.batches.line import LineError, cleaned, first_line
from wrapper.services.batches.line_index import LineSpan
from wrapper.services.files.file import StoredFile
from wrapper.services.files.service import FileService
from wrapper.services.jobs.running import RunningJob


@dataclass(frozen=True)
class RunningBatch:
    """What one run of *job* knows: what the batch asks for, and its file, if that still exists."""

    job: RunningJob
    request: BatchRequest
    file: StoredFile | None

    @property
    def id(self) -> str:
        return self.job.job.id

    @property
    def owner(self) -> str:
        return self.job.job.owner

    @property
    def worker(self) -> str:
        return self.job.worker

    @property
    def expired(self) -> bool:
        return time.time() >= self.job.job.created_at + WINDOW_SECONDS

    def read(self, files: FileService, span: LineSpan) -> bytes:
        """Return a line of the file. Raises LineError if the file is deleted."""
        pieces = files.read(self.file, span.begin, span.end) if self.file else None
        if pieces is None:
            raise LineError("file_not_found", "The input file was deleted while the batch ran.")
        try:
            return cleaned(first_line(pieces))
        finally:
            pieces.close()
