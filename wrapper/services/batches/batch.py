"""A batch: what its owner has asked for, and its state."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from wrapper.json_text import Json

KIND = "batch"
PREFIX = "batch_"
WINDOW_SECONDS = 86_400


class BatchStatus(StrEnum):
    """The status of a batch, by OpenAI's names."""

    VALIDATING = "validating"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


# Those in which nothing more happens.
ENDED = frozenset(
    {BatchStatus.COMPLETED, BatchStatus.FAILED, BatchStatus.EXPIRED, BatchStatus.CANCELLED}
)


@dataclass(frozen=True)
class BatchRequest:
    """What a batch is to do. `file_seconds` is the life of its result files, if it names one."""

    input_file_id: str
    endpoint: str
    metadata: Mapping[str, str] | None = None
    file_seconds: int | None = None

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @staticmethod
    def decode(data: bytes) -> BatchRequest:
        return BatchRequest(**json.loads(data))


@dataclass(frozen=True)
class BatchState:
    """The state of a batch of `total` lines, of which `claimed` have been given to a worker.

    `facts` has its `status`, the times of its changes, the ids of its result files, its `errors`,
    and why it is `paused`.
    """

    total: int = 0
    claimed: int = 0
    completed: int = 0
    failed: int = 0
    facts: Json = field(default_factory=dict)

    @property
    def status(self) -> BatchStatus:
        return BatchStatus(self.facts.get("status", BatchStatus.VALIDATING))

    @property
    def done(self) -> int:
        return self.completed + self.failed


@dataclass(frozen=True)
class LineResult:
    """The result of the line with this `number`, from 0, as a line of a result file.

    It is `completed` if its request got an answer, which stands in the output file; otherwise it
    stands in the error file.
    """

    number: int
    completed: bool
    data: bytes
