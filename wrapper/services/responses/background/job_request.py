"""What the job of a response in the background stores of its request."""

from __future__ import annotations

from dataclasses import dataclass

from wrapper.json_text import Bytes, Json
from wrapper.services.responses.codec import from_text, to_text


@dataclass(frozen=True)
class JobRequest:
    """The response as it was queued, the `body` of the request as it came, and the request's id."""

    response: Json
    request_id: str
    body: Bytes

    @property
    def token(self) -> str:
        """Return the end of the response's id."""
        return str(self.response["id"]).removeprefix("resp_")


def encode(request: JobRequest) -> bytes:
    """Return *request* as a line of JSON, and then its body."""
    head = {"response": request.response, "request_id": request.request_id}
    return b"\n".join((to_text(head), request.body))


def decode(data: bytes) -> JobRequest:
    """Return the request in *data*. Raises Unreadable."""
    line, _, body = data.partition(b"\n")
    head = from_text(line)
    return JobRequest(head["response"], head["request_id"], body)
