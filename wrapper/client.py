"""Chat completions for the Python code of the app itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wrapper.routes import chat
from wrapper.routes.chat import Completion
from wrapper.routes.sse import Stream
from wrapper.schemas.base import load_data
from wrapper.schemas.chat.request import ChatRequestSchema
from wrapper.services.principal import Caller
from wrapper.services.request import TurnRequest
from wrapper.services.turns.service import TurnService

Messages = Sequence[Mapping[str, Any]]


class Chat:
    """Runs chat completions without HTTP, in any thread: from a view of the app, or a job.

    *parameters* are those of `POST /chat/completions`, with the same names. They count for the
    limits, usage and sessions of *caller*, by default the gateway itself. Mistakes and failures
    raise an ApiError with the status that a client would get. *schema* loads the parameters, and
    *start* starts the gateway.
    """

    def __init__(self, service: TurnService, schema: ChatRequestSchema, start: Callable[[], None]):
        self._service = service
        self._schema = schema
        self._start = start

    def complete(
        self, messages: Messages, *, caller: Caller | None = None, **parameters: Any
    ) -> Completion:
        """Return the completion: `text` is its text, `body` the API's whole answer."""
        admitted = self._service.admit(caller or Caller())
        return chat.complete(self._service, self._load(messages, parameters), admitted)

    def stream(
        self, messages: Messages, *, caller: Caller | None = None, **parameters: Any
    ) -> Stream:
        """Return the completion as a stream of the API's chunks. The caller must close it.

        The turn runs in the thread that reads the stream, and only while it reads.
        """
        admitted = self._service.admit(caller or Caller())
        request = self._load(messages, {**parameters, "stream": True})
        return chat.stream(self._service, request, admitted)

    def _load(self, messages: Messages, parameters: Mapping[str, Any]) -> TurnRequest:
        request: TurnRequest = load_data(self._schema, {**parameters, "messages": list(messages)})
        self._start()
        return request
