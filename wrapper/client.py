"""Chat: completions for the code of the app itself, by the parameters of the API."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wrapper.routes import chat
from wrapper.routes.chat import Completion
from wrapper.routes.sse import Stream
from wrapper.schemas.base import load_data
from wrapper.schemas.chat.request import ChatRequestSchema
from wrapper.services.principal import Caller
from wrapper.services.request import ChatRequest
from wrapper.services.turns.service import TurnService

Messages = Sequence[Mapping[str, Any]]


class Chat:
    """Asks the gateway from within, in any thread: a view of the app's own, or a job.

    *parameters* are those of `POST /chat/completions`, by their names there. *caller* is whose
    limits, books and sessions they count for, by default the gateway's own. What is wrong, or goes
    wrong, is raised as an ApiError, with the status that a client would get. *schema* reads the
    parameters, and *start* starts the gateway.
    """

    def __init__(self, service: TurnService, schema: ChatRequestSchema, start: Callable[[], None]):
        self._service = service
        self._schema = schema
        self._start = start

    def complete(
        self, messages: Messages, *, caller: Caller | None = None, **parameters: Any
    ) -> Completion:
        """Return the completion: its `text`, or all of its `body`, which is the API's."""
        who = self._service.admit(caller or Caller())
        return chat.complete(self._service, self._read(messages, parameters), who)

    def stream(
        self, messages: Messages, *, caller: Caller | None = None, **parameters: Any
    ) -> Stream:
        """Return the completion as a stream of the API's chunks, which must be closed.

        It is the caller's thread that reads them, and nothing runs while it does not.
        """
        who = self._service.admit(caller or Caller())
        asked = self._read(messages, {**parameters, "stream": True})
        return chat.stream(self._service, asked, who)

    def _read(self, messages: Messages, parameters: Mapping[str, Any]) -> ChatRequest:
        request: ChatRequest = load_data(self._schema, {**parameters, "messages": list(messages)})
        self._start()
        return request
