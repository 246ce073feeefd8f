"""What the job of a response in the background stores of it."""

from __future__ import annotations

from dataclasses import dataclass

from wrapper.json_text import Json
from wrapper.services.jobs.job import JobContent
from wrapper.services.responses.codec import from_text, to_text


@dataclass(frozen=True)
class JobRequest:
    """The response as it was queued, the `body` of the request as it came, and the request's id."""

    response: Json
    request_id: str
    body: bytes

    @property
    def token(self) -> str:
        """Return the end of the response's id."""
        return token_of(str(self.response["id"]))


def token_of(id_: str) -> str:
    """Return the end of a response's id."""
    return id_.removeprefix("resp_")


def encode(request: JobRequest) -> JobContent:
    """Return the content of the job of *request*."""
    head = {"response": request.response, "request_id": request.request_id}
    return JobContent(request.body, to_text(head))


def decode(content: JobContent) -> JobRequest:
    """Return the request of a job. Raises Unreadable."""
    head = from_text(content.summary)
    return JobRequest(head["response"], head["request_id"], content.request)


def queued_response(summary: bytes) -> Json:
    """Return the response as it was queued. Raises Unreadable."""
    response: Json = from_text(summary)["response"]
    return response
