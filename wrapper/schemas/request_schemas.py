"""The schemas of the requests for turns, one for each API."""

from __future__ import annotations

from collections.abc import Sequence

from wrapper.schemas.chat.request import ChatRequestSchema
from wrapper.schemas.completions.request import CompletionRequestSchema
from wrapper.schemas.messages.request import MessageRequestSchema
from wrapper.schemas.responses.request import ResponseRequestSchema


class RequestSchemas:
    """Load requests. Of parameters that they cannot honour, those *ignored* are no mistake."""

    def __init__(self, ignored: Sequence[str]):
        self.chat = ChatRequestSchema(ignored=ignored)
        self.completions = CompletionRequestSchema(ignored=ignored)
        self.messages = MessageRequestSchema(ignored=ignored)
        self.responses = ResponseRequestSchema(ignored=ignored)
