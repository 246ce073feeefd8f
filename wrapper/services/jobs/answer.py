"""The gateway's answer to a request that a job has made in its own process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from wrapper.services.principal import Principal


@dataclass(frozen=True)
class Answer:
    """An answer, which must be closed; the end of a `with` closes it. Header names are lower-case.

    Its `chunks` come as the gateway makes them. If the request was refused before anything of it
    began, because of limits or since the gateway shuts down, it may be made again after
    `retry_after` seconds. If a budget that was used up refused it then, it is `out_of_budget`.
    """

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes]
    close: Callable[[], None]
    retry_after: float | None = None
    out_of_budget: bool = False

    @property
    def limited(self) -> bool:
        """Say whether a limit refused the request. A budget that is used up is none of those."""
        return self.status == 429 and self.retry_after is not None

    def read(self) -> bytes:
        """Return the whole body, and close the answer."""
        with self:
            return b"".join(self.chunks)

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Dispatch(Protocol):
    """Makes a request for a principal in this process, as if their client had sent it.

    *path* begins after the prefix of the gateway's paths. *gone* says that nobody wants the answer
    any more.
    """

    def __call__(
        self,
        principal: Principal,
        path: str,
        body: bytes,
        *,
        gone: Callable[[], bool],
        headers: Mapping[str, str] = {},
    ) -> Answer: ...
